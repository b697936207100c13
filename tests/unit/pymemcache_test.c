/* meta beside pymemcache: each reads what the other has written, whatever the key, the flags and
 * the value. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memcached_server.h"

#define SKIPPED 77

static const struct {
    char byte;
    size_t length;
} keys[] = {{'k', 1},   {'k', 250},  {'k', 251}, {'k', 65535}, {' ', 1},
            {' ', 186}, {' ', 187},  {'\0', 10}, {'\xe9', 1},  {'\xe9', 250},
            {'~', 1},   {'\x7f', 5}, {'\n', 3},  {'\r', 4},    {'{', 7}};
static const uint32_t flags[] = {0, 1, 0x80000000u, UINT32_MAX};
static const size_t lengths[] = {0, 1, 100, 5000};
#define KEYS (sizeof(keys) / sizeof(keys[0]))
#define FLAGS (sizeof(flags) / sizeof(flags[0]))
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))
#define ENTRIES (KEYS * FLAGS * LENGTHS)

struct entry {
    struct larder_slice key;
    uint32_t flags;
    size_t length;
    unsigned char key_bytes[65535], value[5000];
};

static void entry_of(size_t number, struct entry *entry)
{
    size_t kind = number % KEYS;
    entry->length = lengths[number / KEYS % LENGTHS];
    entry->flags = flags[number / KEYS / LENGTHS];
    entry->key = larder_bytes(entry->key_bytes, keys[kind].length);
    memset(entry->key_bytes, keys[kind].byte, keys[kind].length);
    for (size_t i = 0; i < entry->length; i++)
        entry->value[i] = (unsigned char)(number + i);
}

static struct larder_cache *open_on(const struct memcached_server *server)
{
    struct larder_cache *cache = NULL;
    char uri[256], message[256] = "";
    snprintf(uri, sizeof(uri), "meta://%s?timeout=5s", memcached_server_path(server));
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return cache;
}

static void write_hexadecimal(FILE *file, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(file, "%02x", bytes[i]);
}

static void store(struct larder_cache *cache, const struct entry *entry, FILE *list)
{
    char wire[LARDER_KEY_BYTES_MAX];
    size_t wire_length = 0;
    struct larder_write write = larder_write_of(larder_bytes(entry->value, entry->length), 60000);
    write.flags = entry->flags;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, entry->key, &write, NULL));
    assert_status(LARDER_OK, larder_wire_key(cache, entry->key, wire, sizeof(wire), &wire_length));
    write_hexadecimal(list, (const unsigned char *)wire, wire_length);
    fputc(' ', list);
    write_hexadecimal(list, entry->value, entry->length);
    fprintf(list, " %u\n", entry->flags);
}

/* @return what it ended with */
static int run_python(const struct memcached_server *server, const char *list)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        execl("/usr/bin/python3", "python3", PYMEMCACHE_SWAP, memcached_server_path(server), list,
              (char *)NULL);
        _exit(SKIPPED); /* there is no Python either */
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void must_be_turned(struct larder_cache *cache, const struct entry *entry)
{
    unsigned char buffer[5000];
    struct larder_info info = {0};
    assert_status(LARDER_OK, larder_read(cache, entry->key, buffer, sizeof(buffer), &info));
    assert_int_equal(info.length, entry->length);
    assert_int_equal(info.flags, ~entry->flags);
    for (size_t i = 0; i < entry->length; i++)
        assert_int_equal(buffer[i], entry->value[entry->length - 1 - i]);
}

/* One entry of each key. @return 0: there is no pymemcache */
static int swap(const struct memcached_server *server, struct larder_cache *cache, size_t from)
{
    static struct entry entry;
    char path[] = "/tmp/larder-pymemcache-XXXXXX";
    int descriptor = mkstemp(path);
    FILE *list = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    assert_non_null(list);
    for (size_t number = from; number < from + KEYS; number++) {
        entry_of(number, &entry);
        store(cache, &entry, list);
    }
    fclose(list);
    int ended = run_python(server, path);
    unlink(path);
    if (ended == SKIPPED)
        return 0;
    assert_int_equal(ended, 0);
    for (size_t number = from; number < from + KEYS; number++) {
        entry_of(number, &entry);
        must_be_turned(cache, &entry);
    }
    return 1;
}

static void each_reads_what_the_other_writes(void **state)
{
    (void)state;
    struct memcached_server *server = memcached_server_start(NULL);
    struct larder_cache *cache = open_on(server);
    int is_there = 1;
    for (size_t from = 0; from < ENTRIES && is_there; from += KEYS)
        is_there = swap(server, cache, from);
    larder_close(cache);
    memcached_server_stop(server);
    if (!is_there) {
        print_message("skipped: meta beside pymemcache: python3-pymemcache is not installed\n");
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_reads_what_the_other_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
