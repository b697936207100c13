/*
 * The memcached backends when the n-th allocation fails, for every n: an answer, no leak, and a
 * cache that works afterwards. Allocations of libmemcached count where it asks our allocator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include <larder/memcached.h>
#include "memcached_server.h"

static long left = -1; /* so many allocations succeed; -1: all */

static int fails(void)
{
    return left >= 0 && left-- == 0;
}

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
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* libcrypto's, which it lets us stand in for. It crashes by itself when it lacks memory for setting
 * itself up, so these count on their own, once a cache is open. */
static long crypto_left = -1;

static int crypto_fails(void)
{
    return crypto_left >= 0 && crypto_left-- == 0;
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return crypto_fails() ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *block, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return crypto_fails() ? NULL : __real_realloc(block, size);
}

static void crypto_free(void *block, const char *file, int line)
{
    (void)file, (void)line;
    free(block);
}

/* @return 1 when all n allocations were made, so that nothing failed */
static int nothing_failed(void)
{
    int all = left >= 0;
    left = -1;
    return all;
}

static struct memcached_server *server;

static enum larder_status open_one(int pooled, int binary, struct larder_cache **cache)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct larder_pooled_memcached_options pool = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    options.servers = pool.servers = memcached_server_path(server);
    options.binary = pool.binary = (uint64_t)binary;
    options.timeout_ms = pool.timeout_ms = 20000;
    pool.size = 2;
    return pooled ? larder_pooled_memcached_open(&pool, NULL, cache, NULL, 0)
                  : larder_memcached_open(&options, NULL, cache, NULL, 0);
}

static void open_survives(int pooled)
{
    int done = 0;
    for (long n = 0; !done; n++) {
        struct larder_cache *cache = NULL;
        left = n;
        enum larder_status status = open_one(pooled, 0, &cache);
        done = nothing_failed();
        assert_int_equal(status, done ? LARDER_OK : LARDER_NO_MEMORY);
        larder_close(cache);
        assert_in_range(n, 0, 1000);
    }
}

static void opening_survives_every_failed_allocation(void **state)
{
    (void)state;
    open_survives(0);
    open_survives(1);
}

typedef enum larder_status operation_fn(struct larder_cache *cache);

static char large[100000];

static enum larder_status do_set(struct larder_cache *cache)
{
    return larder_set(cache, larder_text("key"), larder_bytes(large, sizeof(large)), 0);
}

static enum larder_status do_get(struct larder_cache *cache)
{
    struct larder_value value = {.info = {.want = LARDER_WANT_VERSION}};
    enum larder_status status = larder_get(cache, larder_text("key"), &value);
    assert_int_equal(value.owner != NULL, status == LARDER_OK);
    if (status == LARDER_OK)
        assert_int_equal(value.bytes.length, sizeof(large));
    larder_value_release(&value);
    return status;
}

static enum larder_status do_read(struct larder_cache *cache)
{
    char buffer[16];
    enum larder_status status =
        larder_read(cache, larder_text("key"), buffer, sizeof(buffer), NULL);
    return status == LARDER_PARTIAL ? LARDER_OK : status;
}

static enum larder_status do_get_multi(struct larder_cache *cache)
{
    static const char *const keys[] = {"key", "an encoded one", "key", "another encoded one"};
    struct larder_row rows[4];
    memset(rows, 0, sizeof(rows));
    for (int i = 0; i < 4; i++)
        rows[i].key = larder_text(keys[i]);
    enum larder_status status = larder_get_multi(cache, rows, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rows[i].value.owner != NULL, rows[i].status == LARDER_OK);
    larder_rows_release(rows, 4);
    return status;
}

/* With the n-th allocation failing there is a failure; right after, it works. */
static void operation_survives(int pooled, int binary, operation_fn *operation)
{
    int done = 0;
    for (long n = 0; !done; n++) {
        struct larder_cache *cache = NULL;
        assert_int_equal(open_one(pooled, binary, &cache), LARDER_OK);
        left = n;
        enum larder_status status = operation(cache);
        done = nothing_failed();
        assert_true(done ? status == LARDER_OK : 1);
        assert_true(status == LARDER_OK || status == LARDER_NO_MEMORY ||
                    status == LARDER_PROTOCOL || status == LARDER_UNKNOWN ||
                    status == LARDER_UNAVAILABLE);
        if (status != LARDER_UNAVAILABLE)
            assert_int_equal(operation(cache), LARDER_OK);
        larder_close(cache);
        assert_in_range(n, 0, 1000);
    }
}

static void calls_survive_every_failed_allocation(void **state)
{
    (void)state;
    static operation_fn *const operations[] = {do_set, do_get, do_read, do_get_multi};
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        for (int variant = 0; variant < 4; variant++)
            operation_survives(variant & 1, variant >> 1, operations[i]);
}

/* The first hashed key of the process, so it stands before other tests use one. */
static void a_hashed_key_survives_every_failed_allocation_of_libcrypto(void **state)
{
    (void)state;
    struct larder_cache *cache = NULL;
    assert_int_equal(open_one(0, 0, &cache), LARDER_OK);
    struct larder_slice key = larder_bytes(large, 300);
    /* Downward: the first call is the one that could have much to set up. */
    for (long n = 40; n >= 0; n--) {
        crypto_left = n;
        enum larder_status status = larder_read(cache, key, NULL, 0, NULL);
        int failed = crypto_left < 0;
        crypto_left = -1;
        assert_int_equal(status, failed ? LARDER_NO_MEMORY : LARDER_MISS);
        assert_int_equal(larder_read(cache, key, NULL, 0, NULL), LARDER_MISS);
    }
    larder_close(cache);
}

static int start(void **state)
{
    (void)state;
    server = memcached_server_start(NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    memcached_server_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hashed_key_survives_every_failed_allocation_of_libcrypto),
        cmocka_unit_test(opening_survives_every_failed_allocation),
        cmocka_unit_test(calls_survive_every_failed_allocation),
    };
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
        return 1; /* libcrypto has allocated already */
    return cmocka_run_group_tests(tests, start, stop);
}
