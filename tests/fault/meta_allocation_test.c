/* What meta allocates on a connection that stands: nothing for a miss, a hit that is copied, a
 * store, a delete, a touch, a counter, a lease; one block for a view. allocation_test has the ones
 * that fail. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "memcached_server.h"

static unsigned long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocations++;
    return __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
    allocations++;
    return __real_strdup(text);
}

static struct memcached_server *server;
static struct larder_cache *cache;

static int start(void **state)
{
    char uri[256];
    (void)state;
    server = memcached_server_start(NULL);
    snprintf(uri, sizeof(uri), "meta://%s?timeout=5s&size=1", memcached_server_path(server));
    return larder_open(uri, NULL, &cache, NULL, 0) != LARDER_OK ||
           larder_set(cache, larder_text("k"), larder_text("value"), 0) != LARDER_OK ||
           larder_set(cache, larder_text("n"), larder_text("1"), 0) != LARDER_OK;
}

static int stop(void **state)
{
    (void)state;
    larder_close(cache);
    memcached_server_stop(server);
    return 0;
}

#define assert_allocates(count, status, call)   \
    do {                                        \
        allocations = 0;                        \
        assert_status(status, call);            \
        assert_int_equal(allocations, (count)); \
    } while (0)

static void a_hit_that_is_copied_and_a_miss_allocate_nothing(void **state)
{
    (void)state;
    char buffer[64];
    struct larder_info info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL};
    assert_allocates(0, LARDER_OK,
                     larder_read(cache, larder_text("k"), buffer, sizeof(buffer), &info));
    assert_allocates(0, LARDER_PARTIAL, larder_read(cache, larder_text("k"), buffer, 2, &info));
    assert_allocates(0, LARDER_MISS,
                     larder_read(cache, larder_text("none"), buffer, sizeof(buffer), &info));
    assert_allocates(0, LARDER_MISS,
                     larder_read(cache, larder_text("not plain"), buffer, sizeof(buffer), NULL));
}

static void writes_allocate_nothing(void **state)
{
    (void)state;
    uint64_t number;
    assert_allocates(0, LARDER_OK, larder_set(cache, larder_text("s"), larder_text("v"), 60000));
    assert_allocates(0, LARDER_OK, larder_touch(cache, larder_text("s"), 60000));
    assert_allocates(0, LARDER_OK, larder_incr(cache, larder_text("n"), 1, NULL, &number));
    assert_allocates(0, LARDER_OK, larder_delete(cache, larder_text("s"), 0));
}

static void leases_on_nothing_allocate_nothing(void **state)
{
    (void)state;
    struct larder_value value = {0};
    struct larder_lease lease;
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    for (unsigned i = 0; i < 2; i++) {
        assert_allocates(0, LARDER_MISS,
                         larder_lease_get(cache, larder_text("l"), 60000, &value, &lease));
        assert_int_not_equal(lease.token, 0);
        if (i == 0)
            assert_allocates(0, LARDER_OK, larder_lease_return(cache, larder_text("l"), lease));
    }
    assert_allocates(0, LARDER_OK, larder_lease_fill(cache, larder_text("l"), lease, &write));
}

static void a_view_is_one_block(void **state)
{
    (void)state;
    struct larder_value value = {0};
    assert_allocates(1, LARDER_OK, larder_get(cache, larder_text("k"), &value));
    larder_value_release(&value);
    assert_allocates(0, LARDER_MISS, larder_get(cache, larder_text("none"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hit_that_is_copied_and_a_miss_allocate_nothing),
        cmocka_unit_test(writes_allocate_nothing),
        cmocka_unit_test(leases_on_nothing_allocate_nothing),
        cmocka_unit_test(a_view_is_one_block),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
