#include "module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <larder/util/message.h>

#include "registry.h"

/* ---- where it is --------------------------------------------------------------------------- */

static const char here; /* an address in this library */

static int folder_beside(char folder[PATH_MAX])
{
    Dl_info info;
    if (dladdr(&here, &info) == 0 || info.dli_fname == NULL)
        return 0;
    const char *end = strrchr(info.dli_fname, '/');
    if (end == NULL)
        return 0;
    int length =
        snprintf(folder, PATH_MAX, "%.*s/larder", (int)(end - info.dli_fname), info.dli_fname);
    return length > 0 && length < PATH_MAX;
}

static int find_in(const char *folder, const char *scheme, size_t length, char path[PATH_MAX])
{
    int written = snprintf(path, PATH_MAX, "%s/%.*s.so", folder, (int)length, scheme);
    return written > 0 && written < PATH_MAX && access(path, R_OK) == 0;
}

static int module_find(const char *scheme, size_t length, char path[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *given = secure_getenv("LARDER_MODULE_PATH");
    if (given != NULL && given[0] == '/')
        return find_in(given, scheme, length, path);
    if (folder_beside(folder) && find_in(folder, scheme, length, path))
        return 1;
    return find_in(LARDER_MODULE_FOLDER, scheme, length, path);
}

/* ---- what it is ---------------------------------------------------------------------------- */

static enum larder_status module_check(const struct larder_module *module, const char *path,
                                       const struct larder_message *message)
{
    if (module == NULL)
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "%s is no module of larder: it exports no larder_module", path);
    if (module->version != LARDER_BACKEND_VERSION || module->size < sizeof(*module))
        return larder_fail(message, LARDER_UNSUPPORTED,
                           "%s has version %u (%u bytes); this library has version %u (%zu bytes): "
                           "install both from one release",
                           path, module->version, module->size, LARDER_BACKEND_VERSION,
                           sizeof(*module));
    for (size_t i = 0; module->backends[i] != NULL; i++) {
        enum larder_status status = larder__backend_check(module->backends[i], message);
        if (status != LARDER_OK)
            return LARDER_UNSUPPORTED;
    }
    return LARDER_OK;
}

static int is_scheme(const char *scheme, size_t length)
{
    return length > 0 && length <= LARDER__SCHEME_BYTES_MAX &&
           strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789-") >= length;
}

enum larder_status larder__module_load(const char *scheme, size_t length,
                                       const struct larder_message *message)
{
    char path[PATH_MAX];
    if (!is_scheme(scheme, length) || !module_find(scheme, length, path))
        return LARDER_MISS;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return larder_fail(message, LARDER_UNSUPPORTED, "%s", dlerror());
    const struct larder_module *module = dlsym(handle, "larder_module");
    enum larder_status status = module_check(module, path, message);
    if (status == LARDER_OK)
        status = larder_register_backends(module->backends);
    /* what was registered is never unloaded: views, threads and calls may be in it */
    if (status != LARDER_OK)
        dlclose(handle);
    return status == LARDER_OK ? LARDER_OK : LARDER_UNSUPPORTED;
}
