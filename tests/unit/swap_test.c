/* One program, four caches: nothing but the configuration file differs. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "memcached_server.h"

/* The program: it knows a namespace by name and nothing of what is behind it. */
static int visits_seen(const char *path)
{
    struct larder_cache *client, *visits;
    char message[256];
    struct larder_initial from_zero = {0, LARDER_TTL_FOREVER, 0, 0};
    uint64_t seen = 0;
    if (larder_open_file(path, NULL, &client, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s", message);
    assert_status(LARDER_OK, larder_bind(client, "visits", &visits));
    for (int i = 0; i < 3; i++)
        if (larder_incr(visits, larder_text("page"), 1, &from_zero, &seen) == LARDER_MISS)
            seen = 0; /* a cache that keeps nothing */
    larder_close(client);
    return (int)seen;
}

static void configure(const char *path, const char *uri)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "[shared]\nuri = %s\n\n[namespaces]\nmain = null:\nvisits = @shared\n", uri);
    assert_int_equal(0, fclose(file));
}

static void the_configuration_alone_chooses_the_cache(void **state)
{
    (void)state;
    struct memcached_server *server = memcached_server_start(NULL);
    char path[] = "/tmp/larder-swap-XXXXXX", text[256], pooled[256];
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    snprintf(text, sizeof(text), "memcached://%s?timeout=5s", memcached_server_path(server));
    snprintf(pooled, sizeof(pooled), "pooled-memcached://%s?size=2&timeout=5s",
             memcached_server_path(server));
    const struct {
        const char *uri;
        int visits;
    } caches[] = {
        {"memory:", 3}, {"null:", 0}, {text, 3}, {pooled, 6}}; /* the same server: 3 more */
    for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
        configure(path, caches[i].uri);
        assert_int_equal(caches[i].visits, visits_seen(path));
    }
    unlink(path);
    memcached_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_alone_chooses_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
