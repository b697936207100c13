/* The registry: what may be registered, by whom first, how many. */
#include "registry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <larder/util/growth.h>

#include "options.h"
#include "scripted_backend.h"

static char text[512];
static const struct larder_message message = {text, sizeof(text)};

static const struct larder_backend *find(const char *scheme)
{
    return larder__backend_find(scheme, strlen(scheme));
}

static void built_in_backends_are_found_and_pass_their_own_check(void **state)
{
    (void)state;
    assert_non_null(find("memory"));
    assert_non_null(find("null"));
    assert_null(find("memor"));
    assert_null(find("memory:"));
    assert_null(find(""));
    for (size_t i = 0; larder__backend_builtin(i) != NULL; i++) {
        const struct larder_backend *backend = larder__backend_builtin(i);
        enum larder_status status = larder__backend_check(backend, &message);
        if (status != LARDER_OK)
            print_error("%s\n", text);
        assert_int_equal(status, LARDER_OK);
        assert_ptr_equal(find(backend->scheme), backend);
    }
}

static void a_registered_backend_opens_by_its_scheme(void **state)
{
    struct larder_cache *cache = NULL;
    (void)state;
    assert_int_equal(larder_register_backend(&scripted_backend), LARDER_OK);
    scripted_reset();
    assert_int_equal(larder_open("scripted:?hands=5", NULL, &cache, text, sizeof(text)), LARDER_OK);
    assert_int_equal(scripted.hands, 5);
    larder_close(cache);
    assert_int_equal(scripted.closed, 1);
}

static void a_scheme_that_is_known_is_not_registered_again(void **state)
{
    struct larder_backend twin = scripted_backend;
    (void)state;
    assert_int_equal(larder_register_backend(&twin), LARDER_EXISTS);
    assert_ptr_equal(find("scripted"), &scripted_backend);
    twin.scheme = "memory";
    assert_int_equal(larder_register_backend(&twin), LARDER_EXISTS);
}

static void a_backend_of_another_version_is_refused(void **state)
{
    struct larder_backend backend = scripted_backend;
    struct larder_ops ops = *scripted_backend.ops;
    (void)state;
    backend.version = LARDER_BACKEND_VERSION + 1;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    assert_non_null(strstr(text, "a backend of version 2"));
    backend = scripted_backend;
    backend.size = LARDER_SIZE_UP_TO(struct larder_backend, options_size);
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_OK);
    backend.size--;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    backend = scripted_backend;
    backend.ops = &ops;
    ops.version++;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    assert_non_null(strstr(text, "operations of version 2"));
    assert_int_equal(larder__backend_check(NULL, &message), LARDER_BAD_ARGUMENT);
    assert_int_equal(larder_register_backend(NULL), LARDER_BAD_ARGUMENT);
}

static void refuse_without(struct larder_ops ops, const char *row)
{
    struct larder_backend backend = scripted_backend;
    char expected[128];
    backend.scheme = "incomplete";
    backend.ops = &ops;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    snprintf(expected, sizeof(expected), "backend incomplete: no %s in its operations", row);
    assert_string_equal(text, expected);
    assert_int_equal(larder_register_backend(&backend), LARDER_UNSUPPORTED);
    assert_null(find("incomplete"));
}

static void a_backend_without_a_required_row_is_refused_by_the_rows_name(void **state)
{
    (void)state;
#define WITHOUT(row)                                   \
    do {                                               \
        struct larder_ops ops = *scripted_backend.ops; \
        ops.row = NULL;                                \
        refuse_without(ops, #row);                     \
    } while (0)
    WITHOUT(read);
    WITHOUT(store);
    WITHOUT(remove);
    WITHOUT(traits);
    WITHOUT(close);
    WITHOUT(name);
#undef WITHOUT
    struct larder_backend backend = scripted_backend;
    backend.open = NULL;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    assert_string_equal(text, "backend scripted: no open");
    backend = scripted_backend;
    backend.ops = NULL;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    assert_string_equal(text, "backend scripted: no table of operations");
}

static void a_scheme_that_no_uri_can_have_is_refused(void **state)
{
    const char *const schemes[] = {NULL,     "",    "Memory", "a_b",
                                   "9lives", "a:b", "-a",     "abcdefghijklmnopqrstuvwxyzabcdefg"};
    struct larder_backend backend = scripted_backend;
    (void)state;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        backend.scheme = schemes[i];
        assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    }
}

static void refuse_option(struct larder_option option, const char *fault)
{
    struct larder_option rows[2] = {scripted_backend.options[1], option};
    struct larder_backend backend = scripted_backend;
    char expected[128];
    backend.options = rows;
    backend.option_count = 2;
    snprintf(expected, sizeof(expected), "backend scripted: option %s %s",
             option.name != NULL ? option.name : "?", fault);
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
    assert_string_equal(text, expected);
}

static void a_faulty_table_of_options_is_refused(void **state)
{
    const struct larder_option good = scripted_backend.options[3];
    struct larder_option bad = good;
    (void)state;
    bad.name = NULL;
    refuse_option(bad, "has a name that is not [a-z][a-z0-9_]{0,31}");
    bad.name = "max-bytes";
    refuse_option(bad, "has a name that is not [a-z][a-z0-9_]{0,31}");
    bad.name = "room";
    refuse_option(bad, "is there twice");
    bad.name = "errors";
    refuse_option(bad, "has the name of an option that every cache has");
    bad = good;
    bad.offset = (uint32_t)sizeof(struct scripted_options) - 4;
    refuse_option(bad, "has a field outside the options struct");
    bad.offset = 0;
    refuse_option(bad, "has a field outside the options struct");
    bad = good;
    bad.number_default = 65;
    refuse_option(bad, "has a default outside its bounds");
    bad = good;
    bad.type = (enum larder_option_type)99;
    refuse_option(bad, "is of no known type");
    bad = good;
    bad.sentence = NULL;
    refuse_option(bad, "has no sentence");
    struct larder_backend backend = scripted_backend;
    backend.option_count = LARDER__OPTIONS_MAX + 1;
    assert_int_equal(larder__backend_check(&backend, &message), LARDER_UNSUPPORTED);
}

static void a_missing_scheme_is_told_from_a_slip_of_the_pen(void **state)
{
    (void)state;
    assert_int_equal(larder__backend_missing("memroy", &message), LARDER_BAD_ARGUMENT);
    assert_non_null(strstr(text, "no cache is called 'memroy' (did you mean memory?); there are "));
}

static void a_scheme_that_was_not_built_is_told_with_its_component(void **state)
{
    static const struct {
        const char *scheme, *starts, *names;
    } rows[] = {
        {"memcached", "memcached is not installed: ", "install larder's component memcached,"},
        {"pooled-memcached",
         "pooled-memcached is not installed: ", "install larder's component memcached,"},
        {"meta", "meta is not installed: ", "install larder's component meta,"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (find(rows[i].scheme) != NULL) {
            print_message("left out: %s is built\n", rows[i].scheme);
            continue;
        }
        assert_int_equal(larder__backend_missing(rows[i].scheme, &message), LARDER_UNSUPPORTED);
        assert_int_equal(strncmp(text, rows[i].starts, strlen(rows[i].starts)), 0);
        assert_non_null(strstr(text, rows[i].names));
    }
}

/* ---- from many threads, to the bound ------------------------------------------------------- */

#define THREADS 4
static struct larder_backend crowd[LARDER__REGISTERED_MAX + 1];
static char crowd_schemes[LARDER__REGISTERED_MAX + 1][16];
static int accepted[THREADS], refused[THREADS], missing[THREADS];

static void *register_crowd(void *argument)
{
    size_t thread = (size_t)((int *)argument - accepted);
    for (size_t i = 0; i < LARDER__REGISTERED_MAX + 1; i++) {
        enum larder_status status = larder_register_backend(&crowd[i]);
        accepted[thread] += status == LARDER_OK;
        refused[thread] += status == LARDER_NO_MEMORY;
        missing[thread] += status != LARDER_NO_MEMORY && find(crowd[i].scheme) != &crowd[i];
    }
    return NULL;
}

static void threads_register_each_scheme_once_and_no_more_than_the_bound(void **state)
{
    pthread_t threads[THREADS];
    int components =
        (find("memcached") != NULL) + (find("pooled-memcached") != NULL) + (find("meta") != NULL);
    int all_accepted = 0;
    (void)state;
    for (size_t i = 0; i < LARDER__REGISTERED_MAX + 1; i++) {
        snprintf(crowd_schemes[i], sizeof(crowd_schemes[i]), "crowd-%zu", i);
        crowd[i] = scripted_backend;
        crowd[i].scheme = crowd_schemes[i];
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, register_crowd, &accepted[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all_accepted += accepted[i];
        assert_int_equal(missing[i], 0);
        assert_true(refused[i] >= 1);
    }
    /* scripted is one of them */
    assert_int_equal(all_accepted, (int)LARDER__REGISTERED_MAX - 1 - components);
    assert_ptr_equal(find("scripted"), &scripted_backend);
}

/* ---- around fork --------------------------------------------------------------------------- */

static atomic_int stop; /* relaxed: only ends a loop */

static void *look_up_until_stopped(void *argument)
{
    (void)argument;
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        find("nobody");
    return NULL;
}

static void a_child_forked_during_a_look_up_can_look_up(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, look_up_until_stopped, NULL), 0);
    for (int i = 0; i < 200; i++) {
        int result = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(
                20); /* a lock that nobody holds any more ends the child, not the test's patience */
            _exit(find("scripted") == &scripted_backend ? 0 : 1);
        }
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_int_equal(result, 0);
    }
    atomic_store_explicit(&stop, 1, memory_order_relaxed);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_backends_are_found_and_pass_their_own_check),
        cmocka_unit_test(a_registered_backend_opens_by_its_scheme),
        cmocka_unit_test(a_scheme_that_is_known_is_not_registered_again),
        cmocka_unit_test(a_backend_of_another_version_is_refused),
        cmocka_unit_test(a_backend_without_a_required_row_is_refused_by_the_rows_name),
        cmocka_unit_test(a_scheme_that_no_uri_can_have_is_refused),
        cmocka_unit_test(a_faulty_table_of_options_is_refused),
        cmocka_unit_test(a_missing_scheme_is_told_from_a_slip_of_the_pen),
        cmocka_unit_test(a_scheme_that_was_not_built_is_told_with_its_component),
        cmocka_unit_test(threads_register_each_scheme_once_and_no_more_than_the_bound),
        cmocka_unit_test(a_child_forked_during_a_look_up_can_look_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
