/* memory: views of values of the length that most have, which are copied before their length is
 * known, into blocks that the thread keeps. */
#include <larder/client.h>
#include <larder/larder.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "handle.h"
#include "memory.h"
#include "sanitizer.h"

enum { SHORTEST = 64, LONGEST = 128 }; /* that is foretold */
#define KEY "a key of some length"

struct viewed {
    struct larder_cache *leaf, *client, *cache; /* the last is asked */
    int64_t ttl_ms;
};

static void expect_status(enum larder_status wanted, enum larder_status status)
{
    assert_string_equal(larder_status_name(wanted), larder_status_name(status));
}

static const struct memory *memory_of(const struct viewed *viewed)
{
    return larder__target(viewed->leaf)->scope.self;
}

static void open_it(struct viewed *viewed, bool in_namespace, int64_t ttl_ms)
{
    memset(viewed, 0, sizeof(*viewed));
    viewed->ttl_ms = ttl_ms;
    expect_status(LARDER_OK, larder_open("memory:?max_bytes=4M", NULL, &viewed->leaf, NULL, 0));
    viewed->cache = viewed->leaf;
    if (!in_namespace)
        return;
    const struct larder_route route = {"main", viewed->leaf, LARDER_TTL_DEFAULT, 0};
    expect_status(LARDER_OK, larder_client_open(NULL, NULL, &route, 1, &viewed->client, NULL, 0));
    expect_status(LARDER_OK, larder_bind(viewed->client, "main", &viewed->cache));
}

static void close_it(struct viewed *viewed)
{
    larder_close(viewed->client != NULL ? viewed->client : viewed->leaf);
}

static void bytes_of(size_t length, unsigned number, unsigned char bytes[LONGEST])
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(i * 7 + number + length);
}

/* So often that its length is told. */
static void set_often(struct viewed *viewed, size_t length)
{
    unsigned char bytes[LONGEST];
    for (unsigned i = 0; i < 65; i++) {
        bytes_of(length, i, bytes);
        expect_status(LARDER_OK, larder_set(viewed->cache, larder_text(KEY),
                                            larder_bytes(bytes, length), viewed->ttl_ms));
    }
    assert_int_equal(memory_of(viewed)->usual_length, length);
}

static void set_once(struct viewed *viewed, size_t length, unsigned number)
{
    unsigned char bytes[LONGEST];
    bytes_of(length, number, bytes);
    expect_status(LARDER_OK, larder_set(viewed->cache, larder_text(KEY),
                                        larder_bytes(bytes, length), viewed->ttl_ms));
}

static void expect_bytes(const struct larder_value *view, size_t length, unsigned number)
{
    unsigned char bytes[LONGEST];
    bytes_of(length, number, bytes);
    assert_int_equal(view->bytes.length, length);
    assert_memory_equal(view->bytes.data, bytes, length);
}

static struct larder_value take(struct viewed *viewed, size_t length, unsigned number)
{
    struct larder_value view;
    memset(&view, 0x55, sizeof(view));
    view.info.want = 0;
    expect_status(LARDER_OK, larder_get(viewed->cache, larder_text(KEY), &view));
    expect_bytes(&view, length, number);
    assert_int_equal(view.info.length, length);
    assert_int_equal(view.info.flags | view.info.version | view.info.marks, 0);
    assert_int_equal(view.info.ttl_ms, LARDER_TTL_UNKNOWN);
    assert_int_equal(view.info.idle_ms, -1);
    return view;
}

static void look_at_length(struct viewed *viewed, size_t length)
{
    set_often(viewed, length);
    set_once(viewed, length, 1);
    struct larder_value first = take(viewed, length, 1), second = take(viewed, length, 1);
    assert_ptr_not_equal(first.owner, second.owner);
    set_once(viewed, length, 2);
    const struct larder_owner *owner = first.owner;
    larder_value_release(&first);
    first = take(viewed, length, 2);
    assert_int_equal(first.owner == owner, !HAS_ADDRESS_SANITIZER);
    expect_bytes(&second, length, 1);
    larder_value_release(&second);
    larder_value_release(&first);
}

static void views_of_the_usual_length_are_whole_and_their_own(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct viewed viewed;
        open_it(&viewed, (kind & 1) != 0, (kind & 2) != 0 ? 3600000 : 0);
        for (size_t length = SHORTEST; length <= LONGEST; length++)
            look_at_length(&viewed, length);
        close_it(&viewed);
    }
}

/* What one thread releases, none but that one has for its next view. */
static void blocks_run_out(void **state)
{
    enum { VIEWS = 40 };
    struct larder_value views[VIEWS];
    struct viewed viewed;
    (void)state;
    open_it(&viewed, false, 0);
    set_often(&viewed, 100);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < VIEWS; i++) {
            set_once(&viewed, 100, i);
            views[i] = take(&viewed, 100, i);
        }
        for (unsigned i = 0; i < VIEWS; i++) {
            expect_bytes(&views[i], 100, i);
            larder_value_release(&views[i]);
        }
    }
    close_it(&viewed);
}

static void other_lengths_are_whole_beside_the_usual_one(void **state)
{
    struct viewed viewed;
    (void)state;
    open_it(&viewed, false, 0);
    for (size_t length = 0; length <= LONGEST; length++) {
        set_often(&viewed, 100);
        set_once(&viewed, length, 3);
        struct larder_value view = take(&viewed, length, 3);
        larder_value_release(&view);
    }
    close_it(&viewed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_of_the_usual_length_are_whole_and_their_own),
        cmocka_unit_test(blocks_run_out),
        cmocka_unit_test(other_lengths_are_whole_beside_the_usual_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
