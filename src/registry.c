/*
 * The registry of backends: those of this build in one table, further ones registered at run time.
 * Registered backends are never removed, so what a look-up gave stays good without the lock.
 */
#include "registry.h"

#include <pthread.h>
#include <stdalign.h>
#include <string.h>

#include <larder/util/growth.h>
#include <larder/util/message.h>

#include "fork.h"
#include "attach.h"
#include "layers.h"
#include "module.h"
#include "options.h"

/* ---- the table ----------------------------------------------------------------------------- */

extern const struct larder_backend larder_ephemeral_backend, larder_gutter_backend,
    larder_hot_backend, larder_memory_backend, larder_migration_backend, larder_null_backend,
    larder_shadow_backend, larder_tracker_backend;

static const struct larder_backend *const builtin[] = {
    &larder_memory_backend,  &larder_null_backend,      &larder_gutter_backend,
    &larder_tracker_backend, &larder_ephemeral_backend, &larder_migration_backend,
    &larder_shadow_backend,  &larder_hot_backend,
};
#define BUILTIN_COUNT (sizeof(builtin) / sizeof(builtin[0]))

/* Schemes of components, for the message of a build or an installation that lacks them. */
static const struct {
    const char *scheme, *component;
} components[] = {
    {"memcached", "memcached"},
    {"pooled-memcached", "memcached"},
    {"meta", "meta"},
};
#define COMPONENT_COUNT (sizeof(components) / sizeof(components[0]))

/* ---- checking ------------------------------------------------------------------------------ */

static int is_name(const char *name, size_t max, const char *bytes)
{
    size_t length = name != NULL ? strspn(name, bytes) : 0;
    return length > 0 && length <= max && name[length] == '\0' && name[0] >= 'a' && name[0] <= 'z';
}

static int field_fits(const struct larder_option *option, size_t options_size)
{
    int number = larder__option_is_number(option->type);
    size_t size = number ? sizeof(uint64_t) : sizeof(const char *);
    size_t align = number ? alignof(uint64_t) : alignof(const char *);
    return option->offset >= sizeof(size_t) && option->offset % align == 0 &&
           option->offset <= options_size && size <= options_size - option->offset;
}

static int default_fits(const struct larder_option *option)
{
    return !larder__option_is_number(option->type) || (option->number_default >= option->smallest &&
                                                       option->number_default <= option->largest);
}

static const char *option_fault(const struct larder_backend *backend, size_t index)
{
    const struct larder_option *option = &backend->options[index];
    struct larder__options before = {backend->options, index};
    if ((unsigned)option->type > LARDER_OPTION_CACHE)
        return "is of no known type";
    if (!is_name(option->name, LARDER__OPTION_NAME_MAX, "abcdefghijklmnopqrstuvwxyz0123456789_"))
        return "has a name that is not [a-z][a-z0-9_]{0,31}";
    if (larder__option_find(before, option->name, strlen(option->name)) != NULL)
        return "is there twice";
    if (larder__option_find(larder__common_options, option->name, strlen(option->name)) != NULL ||
        larder__layer_option_find(larder__text_of(option->name, NULL)) != NULL)
        return "has the name of an option that every cache has";
    if (!field_fits(option, backend->options_size))
        return "has a field outside the options struct";
    if (!default_fits(option))
        return "has a default outside its bounds";
    return option->sentence == NULL ? "has no sentence" : NULL;
}

static enum larder_status check_options(const struct larder_backend *backend,
                                        const struct larder_message *message)
{
    if (backend->option_count > LARDER__OPTIONS_MAX ||
        (backend->option_count > 0 && backend->options == NULL))
        return larder_fail(message, LARDER_UNSUPPORTED, "backend %s: %zu options; at most %u",
                           backend->scheme, backend->option_count, LARDER__OPTIONS_MAX);
    for (size_t i = 0; i < backend->option_count; i++) {
        const char *fault = option_fault(backend, i);
        if (fault != NULL)
            return larder_fail(
                message, LARDER_UNSUPPORTED, "backend %s: option %s %s", backend->scheme,
                backend->options[i].name != NULL ? backend->options[i].name : "?", fault);
    }
    return LARDER_OK;
}

enum larder_status larder__backend_check(const struct larder_backend *backend,
                                         const struct larder_message *message)
{
    if (backend == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "the backend is NULL");
    if (backend->version != LARDER_BACKEND_VERSION ||
        backend->size < LARDER_SIZE_UP_TO(struct larder_backend, options_size))
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "a backend of version %u (%u bytes); this library has version %u (%zu "
                           "bytes): build both from one release",
                           backend->version, backend->size, LARDER_BACKEND_VERSION,
                           sizeof(*backend));
    if (!is_name(backend->scheme, LARDER__SCHEME_BYTES_MAX,
                 "abcdefghijklmnopqrstuvwxyz0123456789-"))
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "a backend's scheme is [a-z][a-z0-9-]{0,31}");
    if (backend->open == NULL)
        return larder_fail(message, LARDER_UNSUPPORTED, "backend %s: no open", backend->scheme);
    enum larder_status status = larder__ops_check(backend->ops, backend->scheme, message);
    return status == LARDER_OK ? check_options(backend, message) : status;
}

/* ---- registered at run time ---------------------------------------------------------------- */

/* In static storage, without a map on the heap: that would be lost with every dlclose(). */
static struct {
    pthread_mutex_t mutex; /* order: taken alone; around fork() after the hooks' */
    struct {               /* touched only while holding mutex */
        const struct larder_backend *rows[LARDER__REGISTERED_MAX];
        size_t count;
    } guarded;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void fork_registry(void *self, enum larder_fork_step step)
{
    (void)self;
    larder__fork_mutex(&registry.mutex, step);
}

static void install_fork_hook(void)
{
    static struct fork_hook hook;
    larder__fork_hook_add(&hook, fork_registry, NULL);
}

static void registry_lock(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_fork_hook);
    pthread_mutex_lock(&registry.mutex);
}

static void registry_unlock(void)
{
    pthread_mutex_unlock(&registry.mutex);
}

static const struct larder_backend *among(const struct larder_backend *const *rows, size_t count,
                                          const char *scheme, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i]->scheme) == length && memcmp(rows[i]->scheme, scheme, length) == 0)
            return rows[i];
    return NULL;
}

static const struct larder_backend *builtin_find(const char *scheme, size_t length)
{
    return among(builtin, BUILTIN_COUNT, scheme, length);
}

static const struct larder_backend *registered_find_locked(const char *scheme, size_t length)
{
    return among(registry.guarded.rows, registry.guarded.count, scheme, length);
}

const struct larder_backend *larder__backend_builtin(size_t index)
{
    return index < BUILTIN_COUNT ? builtin[index] : NULL;
}

static const struct larder_backend *registered_find(const char *scheme, size_t length)
{
    registry_lock();
    const struct larder_backend *backend = registered_find_locked(scheme, length);
    registry_unlock();
    return backend;
}

const struct larder_backend *larder__backend_find(const char *scheme, size_t length)
{
    const struct larder_backend *backend = builtin_find(scheme, length);
    if (backend != NULL || length == 0 || length > LARDER__SCHEME_BYTES_MAX)
        return backend;
    backend = registered_find(scheme, length);
    /* no lock is held: a module runs code of others when it is loaded */
    if (backend == NULL && larder__module_load(scheme, length, NULL) == LARDER_OK)
        backend = registered_find(scheme, length);
    return backend;
}

static enum larder_status register_locked(const struct larder_backend *backend)
{
    size_t length = strlen(backend->scheme);
    if (builtin_find(backend->scheme, length) != NULL ||
        registered_find_locked(backend->scheme, length) != NULL)
        return LARDER_EXISTS;
    if (registry.guarded.count == LARDER__REGISTERED_MAX)
        return LARDER_NO_MEMORY;
    registry.guarded.rows[registry.guarded.count++] = backend;
    return LARDER_OK;
}

enum larder_status larder_register_backend(const struct larder_backend *backend)
{
    enum larder_status status = larder__backend_check(backend, NULL);
    if (status != LARDER_OK)
        return status;
    registry_lock();
    status = register_locked(backend);
    registry_unlock();
    return status;
}

enum larder_status larder_register_backends(const struct larder_backend *const *backends)
{
    enum larder_status first = LARDER_OK;
    for (; *backends != NULL; backends++) {
        enum larder_status status = larder_register_backend(*backends);
        if (status != LARDER_OK && status != LARDER_EXISTS && first == LARDER_OK)
            first = status;
    }
    return first;
}

enum larder_status larder_open_scheme(const char *scheme, const void *options,
                                      const struct larder_open_options *open_options,
                                      struct larder_cache **cache, char *text, size_t text_size)
{
    struct larder_message message = {text, text_size};
    const struct larder_backend *backend =
        scheme != NULL ? larder__backend_find(scheme, strlen(scheme)) : NULL;
    if (backend != NULL)
        return larder_open_backend(backend, options, open_options, cache, text, text_size);
    if (cache != NULL)
        *cache = NULL;
    return scheme != NULL ? larder__backend_missing(scheme, &message)
                          : larder_fail(&message, LARDER_BAD_ARGUMENT, "the scheme is NULL");
}

/* ---- what is not there --------------------------------------------------------------------- */

static const char *component_of(const char *scheme)
{
    for (size_t i = 0; i < COMPONENT_COUNT; i++)
        if (strcmp(components[i].scheme, scheme) == 0)
            return components[i].component;
    return NULL;
}

static int is_component(const char *scheme)
{
    return component_of(scheme) != NULL;
}

/* The schemes that there are, installed or not, joined by ", ", and the one that is nearest. */
struct schemes {
    const char *names[BUILTIN_COUNT + COMPONENT_COUNT + LARDER__REGISTERED_MAX];
    size_t count;
    char list[512];
};

static void schemes_list(struct schemes *schemes)
{
    schemes->count = 0;
    for (size_t i = 0; i < BUILTIN_COUNT; i++)
        schemes->names[schemes->count++] = builtin[i]->scheme;
    for (size_t i = 0; i < COMPONENT_COUNT; i++)
        schemes->names[schemes->count++] = components[i].scheme;
    registry_lock();
    for (size_t i = 0; i < registry.guarded.count; i++)
        if (!is_component(registry.guarded.rows[i]->scheme))
            schemes->names[schemes->count++] = registry.guarded.rows[i]->scheme;
    registry_unlock();
    larder__names_join(schemes->names, schemes->count, schemes->list, sizeof(schemes->list));
}

enum larder_status larder__backend_missing(const char *scheme, const struct larder_message *why)
{
    struct schemes schemes;
    /* a module that is there but was refused has a reason of its own */
    if (strlen(scheme) <= LARDER__SCHEME_BYTES_MAX &&
        larder__module_load(scheme, strlen(scheme), why) == LARDER_UNSUPPORTED)
        return LARDER_UNSUPPORTED;
    if (is_component(scheme))
        return larder_fail(
            why, LARDER_UNSUPPORTED,
            "%s is not installed: its module, %s.so, is neither beside the library in "
            "larder/ nor in LARDER_MODULE_PATH; install larder's component %s, or "
            "register it in a static build",
            scheme, scheme, component_of(scheme));
    schemes_list(&schemes);
    const char *nearest = larder_nearest(scheme, schemes.names, schemes.count);
    return larder_fail(why, LARDER_BAD_ARGUMENT, "no cache is called '%.40s'%s%s%s; there are %s",
                       scheme, nearest != NULL ? " (did you mean " : "",
                       nearest != NULL ? nearest : "", nearest != NULL ? "?)" : "", schemes.list);
}
