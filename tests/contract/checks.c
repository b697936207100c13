/* Checks that say what was expected of whom, and the tests' short forms. */
#include "contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

__attribute__((format(printf, 4, 5))) static void
fail_check(const struct fixture *fixture, const char *file, int line, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print_error("%s: %s: %s\n", fixture->subject->name, fixture->test, text);
    _fail(file, line);
}

void expect_status(const struct fixture *fixture, enum larder_status wanted,
                   enum larder_status answered, const char *call, const char *file, int line)
{
    if (wanted != answered)
        fail_check(fixture, file, line, "expected %s, answered %s: %s", larder_status_name(wanted),
                   larder_status_name(answered), call);
}

void expect_true(const struct fixture *fixture, int condition, const char *text, const char *file,
                 int line)
{
    if (!condition)
        fail_check(fixture, file, line, "does not hold: %s", text);
}

void expect_equal(const struct fixture *fixture, uint64_t wanted, uint64_t actual, const char *text,
                  const char *file, int line)
{
    if (wanted != actual)
        fail_check(fixture, file, line, "expected %llu, is %llu: %s", (unsigned long long)wanted,
                   (unsigned long long)actual, text);
}

void expect_bytes(const struct fixture *fixture, struct larder_slice wanted,
                  struct larder_slice actual, const char *file, int line)
{
    if (wanted.length == actual.length &&
        (wanted.length == 0 || memcmp(wanted.data, actual.data, wanted.length) == 0))
        return;
    int shown = wanted.length < 40 ? (int)wanted.length : 40;
    int found = actual.length < 40 ? (int)actual.length : 40;
    fail_check(fixture, file, line, "expected %zu bytes \"%.*s\", got %zu bytes \"%.*s\"",
               wanted.length, shown, wanted.length > 0 ? (const char *)wanted.data : "",
               actual.length, found, actual.length > 0 ? (const char *)actual.data : "");
}

static void expect_read(const struct fixture *fixture, struct larder_slice key,
                        struct larder_slice wanted, const char *file, int line)
{
    struct larder_info info = {0};
    size_t size = wanted.length + 16;
    char *buffer = malloc(size);
    if (buffer == NULL)
        exit(1);
    enum larder_status status = larder_read(fixture->cache, key, buffer, size, &info);
    int is_wanted = status == LARDER_OK && info.length == wanted.length &&
                    memcmp(buffer, wanted.data, wanted.length) == 0;
    free(buffer);
    expect_status(fixture, LARDER_OK, status, "larder_read", file, line);
    expect_true(fixture, is_wanted, "larder_read copies the bytes that were stored", file, line);
}

void expect_stored(const struct fixture *fixture, struct larder_slice key,
                   struct larder_slice wanted, const char *file, int line)
{
    struct larder_value value = {0};
    expect_status(fixture, LARDER_OK, larder_get(fixture->cache, key, &value), "larder_get", file,
                  line);
    expect_bytes(fixture, wanted, value.bytes, file, line);
    expect_true(fixture, value.bytes.data != NULL, "a view's data is never NULL", file, line);
    expect_equal(fixture, wanted.length, value.info.length, "value.info.length", file, line);
    larder_value_release(&value);
    expect_read(fixture, key, wanted, file, line);
}

void expect_nothing(const struct fixture *fixture, struct larder_slice key,
                    enum larder_status status, const char *file, int line)
{
    struct larder_value value;
    struct larder_info info = {0, 77, 77, 77, 77, 77, 0, 77};
    char byte = 'q';
    memset(&value, 0, sizeof(value));
    value.bytes = larder_bytes(&byte, 1);
    value.info.flags = 77;
    expect_status(fixture, status, larder_get(fixture->cache, key, &value), "larder_get", file,
                  line);
    expect_true(fixture, value.bytes.length == 0 && value.owner == NULL && value.info.flags == 0,
                "a get that hands out nothing empties its output", file, line);
    larder_value_release(&value);
    expect_status(fixture, status, larder_read(fixture->cache, key, &byte, 1, &info), "larder_read",
                  file, line);
    expect_true(fixture, byte == 'q', "a read that finds nothing leaves the buffer alone", file,
                line);
    expect_true(fixture,
                info.flags == 0 && info.length == 0 && info.version == 0 && info.marks == 0 &&
                    info.ttl_ms == LARDER_TTL_UNKNOWN,
                "a read that finds nothing empties its info", file, line);
}

void put(struct fixture *fixture, struct larder_slice key, const char *text)
{
    expect(fixture, LARDER_OK,
           larder_set(fixture->cache, key, larder_text(text), LARDER_TTL_FOREVER));
}

uint64_t version_of(struct fixture *fixture, struct larder_slice key)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    enum larder_status status = larder_read(fixture->cache, key, NULL, 0, &info);
    expect_that(fixture, status == LARDER_OK || status == LARDER_PARTIAL);
    expect_that(fixture, info.version != 0);
    return info.version;
}

uint32_t flags_of(struct fixture *fixture, struct larder_slice key)
{
    struct larder_info info = {0};
    enum larder_status status = larder_read(fixture->cache, key, NULL, 0, &info);
    expect_that(fixture, status == LARDER_OK || status == LARDER_PARTIAL);
    return info.flags;
}

unsigned char *filled(size_t length, unsigned seed)
{
    unsigned char *bytes = malloc(length + 1);
    uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (bytes == NULL)
        exit(1);
    for (size_t i = 0; i < length; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (unsigned char)(state >> 56);
    }
    return bytes;
}

enum larder_status peek(struct fixture *fixture, struct larder_slice key)
{
    enum larder_status status = larder_read(fixture->cache, key, NULL, 0, NULL);
    return status == LARDER_PARTIAL ? LARDER_OK : status;
}

enum larder_status lease(struct fixture *fixture, struct larder_slice key, uint32_t lease_ms,
                         struct larder_lease *held)
{
    struct larder_value value = {0};
    enum larder_status status = larder_lease_get(fixture->cache, key, lease_ms, &value, held);
    larder_value_release(&value);
    return status;
}
