/*
 * What the contract leaves to meta: leases and stale entries as the server keeps them, beside other
 * programs that speak its protocol.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <larder/meta.h>

#include "memcached_server.h"
#include "scripted_server.h"
#include "stats.h"

#define LEASE_MS 60000u
#define STALE_S 30
#define KEY larder_text("k")

static struct memcached_server *server;
static struct larder_cache *cache; /* deletes at once */
static struct larder_cache *stale; /* the same keys; keeps what is deleted for STALE_S */

static struct larder_cache *open_at(const struct memcached_server *where, const char *options)
{
    struct larder_cache *opened = NULL;
    char uri[256], message[256] = "";
    snprintf(uri, sizeof(uri), "meta://%s?timeout=20s&%s", memcached_server_path(where), options);
    if (larder_open(uri, NULL, &opened, message, sizeof(message)) != LARDER_OK)
        fail_msg("%s: %s", uri, message);
    return opened;
}

static int start(void **state)
{
    (void)state;
    server = memcached_server_start(NULL);
    cache = open_at(server, "exclusive=on");
    stale = open_at(server, "exclusive=on&stale=30s");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    larder_close(cache);
    larder_close(stale);
    memcached_server_stop(server);
    return 0;
}

static int empty(void **state)
{
    (void)state;
    return larder_flush(cache) != LARDER_OK;
}

/* What another program is answered. */
static const char *ask_server(const char *request)
{
    static char line[256];
    int descriptor = scripted_dial(memcached_server_path(server));
    assert_true(descriptor >= 0);
    assert_true(scripted_say(descriptor, request));
    assert_non_null(scripted_read_line(descriptor, line, sizeof(line)));
    close(descriptor);
    return line;
}

/* What another program is told of the entry, but for its TTL, which is at most `ttl_s`: seconds may
 * pass meanwhile. */
static void must_be_told(const char *expected, long ttl_s)
{
    char line[256], *ttl, *rest;
    snprintf(line, sizeof(line), "%s", ask_server("mg k s f t\r\n"));
    ttl = strstr(line, " t");
    assert_non_null(ttl);
    assert_in_range(strtol(ttl + 2, &rest, 10), ttl_s > 20 ? ttl_s - 20 : 0, ttl_s);
    memmove(ttl, rest, strlen(rest) + 1);
    assert_string_equal(line, expected);
}

/* ---- short forms --------------------------------------------------------------------------- */

static struct larder_lease lease_of(struct larder_cache *of, uint32_t recache_ms,
                                    enum larder_status expected, const char *text)
{
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_value value = {0};
    struct larder_lease lease = {0, 0};
    call.recache_ms = recache_ms;
    assert_status(expected, larder_lease_get_with(of, &call, KEY, LEASE_MS, &value, &lease));
    if (text != NULL)
        assert_slice(text, value.bytes);
    else
        assert_null(value.owner);
    assert_int_equal(value.info.marks,
                     expected == LARDER_OK && lease.token != 0 ? LARDER_REFRESH_WANTED : 0);
    larder_value_release(&value);
    return lease;
}

static struct larder_lease must_win(struct larder_cache *of, enum larder_status expected,
                                    const char *text)
{
    struct larder_lease lease = lease_of(of, 0, expected, text);
    assert_int_not_equal(lease.token, 0);
    return lease;
}

static void must_lose(struct larder_cache *of, enum larder_status expected, const char *text)
{
    assert_int_equal(lease_of(of, 0, expected, text).token, 0);
}

static enum larder_status fill(struct larder_cache *of, struct larder_lease lease, const char *text)
{
    struct larder_write write = larder_write_of(larder_text(text), 60000);
    return larder_lease_fill(of, KEY, lease, &write);
}

static enum larder_status put(const char *text)
{
    return larder_set(cache, KEY, larder_text(text), 60000);
}

static void must_read(const char *text)
{
    char buffer[64];
    struct larder_info info = {0};
    assert_status(LARDER_OK, larder_read(cache, KEY, buffer, sizeof(buffer), &info));
    assert_slice(text, larder_bytes(buffer, info.length));
}

static void must_miss(void)
{
    char byte;
    assert_status(LARDER_MISS, larder_read(cache, KEY, &byte, 1, NULL));
}

/* ---- placeholders -------------------------------------------------------------------------- */

static void a_lease_is_an_empty_placeholder_that_dies_with_it(void **state)
{
    (void)state;
    must_win(cache, LARDER_MISS, NULL);
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
}

static void a_token_fits_its_key_only(void **state)
{
    (void)state;
    struct larder_write write = larder_write_of(larder_text("v"), 0);
    struct larder_lease lease = must_win(cache, LARDER_MISS, NULL);
    uint64_t version = 0;
    assert_status(LARDER_OK,
                  larder_store(cache, LARDER_SET, larder_text("other"), &write, &version));
    assert_int_not_equal(version, lease.token);
    assert_status(LARDER_CONFLICT, larder_lease_fill(cache, larder_text("other"), lease, &write));
    assert_status(LARDER_OK, fill(cache, lease, "v"));
}

/* Whoever touches a pending key must not make its lease last. */
static void a_touch_leaves_a_lease_its_end(void **state)
{
    (void)state;
    struct larder_call call = LARDER_CALL_INIT;
    struct larder_row row = {.key = KEY};
    struct larder_value value = {0};
    char byte;
    struct larder_lease lease = must_win(cache, LARDER_MISS, NULL);
    assert_status(LARDER_MISS, larder_touch(cache, KEY, 500000));
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    assert_status(LARDER_MISS, larder_touch(cache, KEY, LARDER_TTL_FOREVER));
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    assert_status(LARDER_MISS, larder_get_and_touch(cache, KEY, 500000, &value));
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    call.touch_ttl_ms = 500000;
    assert_status(LARDER_MISS, larder_read_with(cache, &call, KEY, &byte, 1, NULL));
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    row.write.ttl_ms = 500000;
    assert_status(LARDER_OK, larder_touch_multi(cache, &row, 1));
    assert_status(LARDER_MISS, row.status);
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    assert_status(LARDER_OK, larder_many(cache, &call, LARDER_MANY_GET, LARDER_SET, &row, 1,
                                         sizeof(struct larder_row)));
    assert_status(LARDER_MISS, row.status);
    must_be_told("HD s0 f0 Z", LEASE_MS / 1000 + 1);
    assert_status(LARDER_OK, fill(cache, lease, "filled"));
    must_be_told("HD s6 f0", 61);
}

static void a_touching_read_tells_the_new_ttl(void **state)
{
    (void)state;
    struct larder_value value = {.info = {.want = LARDER_WANT_TTL}};
    assert_status(LARDER_OK, put("v"));
    assert_status(LARDER_OK, larder_get_and_touch(cache, KEY, 500000, &value));
    assert_int_equal(value.info.ttl_ms, 500000);
    larder_value_release(&value);
    must_be_told("HD s1 f0", 501);
}

static void another_programs_placeholder_is_missing_to_every_write(void **state)
{
    (void)state;
    static const char lease[] = "mg k N30 v\r\n";
    uint64_t number = 0;
    const struct larder_initial initial = {5, 60000, 0, 0};
    assert_string_equal(ask_server(lease), "VA 0 W");
    assert_status(LARDER_MISS, larder_replace(cache, KEY, larder_text("v"), 0));
    assert_status(LARDER_MISS, larder_append(cache, KEY, larder_text("v")));
    assert_status(LARDER_MISS, larder_cas(cache, KEY, larder_text("v"), 0, 99));
    assert_status(LARDER_MISS, larder_delete(cache, KEY, 99));
    assert_status(LARDER_MISS, larder_incr(cache, KEY, 1, NULL, &number));
    assert_string_equal(ask_server("mg k s f\r\n"), "HD s0 f0 Z");
    assert_status(LARDER_OK, larder_add(cache, KEY, larder_text("added"), 0));
    must_read("added");
    assert_status(LARDER_OK, larder_delete(cache, KEY, 0));
    assert_string_equal(ask_server(lease), "VA 0 W");
    assert_status(LARDER_OK, larder_incr(cache, KEY, 1, &initial, &number));
    assert_int_equal(number, 6);
    must_read("6");
    assert_status(LARDER_OK, larder_delete(cache, KEY, 0));
    assert_string_equal(ask_server(lease), "VA 0 W");
    assert_status(LARDER_MISS, larder_delete(cache, KEY, 0));
    assert_string_equal(ask_server("mg k\r\n"), "EN");
}

static void rows_answer_as_single_writes_do(void **state)
{
    (void)state;
    struct larder_row row = {.key = KEY};
    row.write = larder_write_of(larder_text("v"), 60000);
    must_win(cache, LARDER_MISS, NULL);
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_REPLACE, &row, 1));
    assert_status(LARDER_MISS, row.status);
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_APPEND, &row, 1));
    assert_status(LARDER_MISS, row.status);
    row.write.version = 99;
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_CAS, &row, 1));
    assert_status(LARDER_MISS, row.status);
    row.write.version = 0;
    assert_status(LARDER_OK, larder_store_multi(cache, LARDER_ADD, &row, 1));
    assert_status(LARDER_OK, row.status);
    assert_int_not_equal(row.value.info.version, 0);
    assert_status(LARDER_OK, larder_delete(cache, KEY, row.value.info.version));
    must_win(cache, LARDER_MISS, NULL);
    assert_status(LARDER_OK, larder_delete_multi(cache, &row, 1));
    assert_status(LARDER_MISS, row.status);
    assert_string_equal(ask_server("mg k\r\n"), "EN");
}

/* ---- refreshing ---------------------------------------------------------------------------- */

static void a_refresh_that_is_given_back_changes_nothing_but_the_version(void **state)
{
    (void)state;
    struct larder_write write = larder_write_of(larder_text("old"), 60000);
    write.flags = 77;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, KEY, &write, NULL));
    struct larder_lease lease = lease_of(cache, 100000, LARDER_OK, "old");
    assert_int_not_equal(lease.token, 0);
    must_be_told("HD s3 f77 Z", 61);
    assert_status(LARDER_OK, larder_lease_return(cache, KEY, lease));
    must_be_told("HD s3 f77", 61);
    assert_status(LARDER_CONFLICT, larder_lease_return(cache, KEY, lease));
    assert_int_not_equal(lease_of(cache, 100000, LARDER_OK, "old").token, 0);
}

static void nobody_refreshes_what_lives_longer_or_for_ever(void **state)
{
    (void)state;
    assert_status(LARDER_OK, put("v"));
    assert_int_equal(lease_of(cache, 58000, LARDER_OK, "v").token, 0);
    assert_status(LARDER_OK, larder_set(cache, KEY, larder_text("v"), LARDER_TTL_FOREVER));
    assert_int_equal(lease_of(cache, UINT32_MAX, LARDER_OK, "v").token, 0);
}

/* It looks as a placeholder does, so it becomes one to everybody at the same moment. */
static void an_empty_value_without_flags_is_missing_while_it_is_refreshed(void **state)
{
    (void)state;
    assert_status(LARDER_OK, put(""));
    must_read("");
    struct larder_lease lease = lease_of(cache, 100000, LARDER_MISS, NULL);
    assert_int_not_equal(lease.token, 0);
    must_miss();
    assert_status(LARDER_OK, fill(cache, lease, ""));
    must_read("");
    lease = lease_of(cache, 100000, LARDER_MISS, NULL);
    assert_status(LARDER_OK, larder_lease_return(cache, KEY, lease));
    must_miss();
    must_win(cache, LARDER_MISS, NULL);
}

static void an_empty_value_with_flags_is_there_while_it_is_refreshed(void **state)
{
    (void)state;
    struct larder_write write = larder_write_of(larder_text(""), 60000);
    write.flags = 1;
    assert_status(LARDER_OK, larder_store(cache, LARDER_SET, KEY, &write, NULL));
    assert_int_not_equal(lease_of(cache, 100000, LARDER_OK, "").token, 0);
    must_read("");
}

/* ---- stale entries ------------------------------------------------------------------------- */

static void a_deleted_value_is_served_stale_while_one_caller_computes(void **state)
{
    (void)state;
    assert_status(LARDER_OK, put("old"));
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    struct larder_lease lease = must_win(stale, LARDER_STALE, "old");
    must_lose(stale, LARDER_STALE, "old");
    must_lose(cache, LARDER_STALE, "old");
    must_be_told("HD s3 f0 Z X", STALE_S + 1);
    must_miss();
    assert_status(LARDER_OK, fill(stale, lease, "new"));
    must_read("new");
    must_lose(stale, LARDER_OK, "new");
}

static void a_stale_key_is_missing_to_all_but_leases(void **state)
{
    (void)state;
    struct larder_row row = {.key = KEY};
    struct larder_value value = {0};
    const struct larder_initial initial = {5, 60000, 0, 0};
    uint64_t number = 0;
    assert_status(LARDER_OK, put("7"));
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    for (unsigned i = 0; i < 2; i++) { /* in the second round somebody holds the lease */
        assert_status(LARDER_MISS, larder_get(stale, KEY, &value));
        assert_status(LARDER_MISS, larder_get_and_touch(stale, KEY, 500000, &value));
        assert_status(LARDER_MISS, larder_touch(stale, KEY, 500000));
        assert_status(LARDER_OK, larder_get_multi(stale, &row, 1));
        assert_status(LARDER_MISS, row.status);
        assert_status(LARDER_MISS, larder_replace(stale, KEY, larder_text("v"), 0));
        assert_status(LARDER_MISS, larder_append(stale, KEY, larder_text("v")));
        assert_status(LARDER_MISS, larder_incr(stale, KEY, 1, NULL, &number));
        assert_status(LARDER_MISS, larder_delete(stale, KEY, 99));
        if (i == 0)
            must_win(stale, LARDER_STALE, "7");
    }
    must_be_told("HD s1 f0 Z X", STALE_S + 1);
    assert_status(LARDER_OK, larder_incr(stale, KEY, 1, &initial, &number));
    assert_int_equal(number, 6);
    must_read("6");
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    assert_status(LARDER_OK, larder_add(stale, KEY, larder_text("added"), 0));
    must_read("added");
}

static void a_delete_while_somebody_computes_voids_what_he_computes(void **state)
{
    (void)state;
    assert_status(LARDER_OK, put("old"));
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    struct larder_lease first = must_win(stale, LARDER_STALE, "old");
    assert_status(LARDER_MISS, larder_delete(stale, KEY, 0));
    struct larder_lease second = must_win(stale, LARDER_STALE, "old");
    assert_status(LARDER_CONFLICT, fill(stale, first, "older than the delete"));
    must_lose(stale, LARDER_STALE, "old");
    assert_status(LARDER_OK, fill(stale, second, "new"));
    must_read("new");
}

static void a_lease_on_nothing_leaves_nothing_stale(void **state)
{
    (void)state;
    struct larder_lease lease = must_win(stale, LARDER_MISS, NULL);
    assert_status(LARDER_MISS, larder_delete(stale, KEY, 0));
    assert_string_equal(ask_server("mg k\r\n"), "EN");
    assert_status(LARDER_CONFLICT, fill(stale, lease, "late"));
}

static uint64_t version_of_key(struct larder_cache *of)
{
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    char buffer[64];
    assert_status(LARDER_OK, larder_read(of, KEY, buffer, sizeof(buffer), &info));
    return info.version;
}

static void what_a_store_lost_against_is_marked_stale_only_when_asked(void **state)
{
    (void)state;
    struct larder_cache *asked = open_at(server, "stale=30s&stale_on_conflict=on");
    struct larder_cache *const both[] = {stale, asked};
    for (int i = 0; i < 2; i++) {
        assert_status(LARDER_OK, put("old"));
        uint64_t seen = version_of_key(cache);
        assert_status(LARDER_OK, put("newer"));
        assert_status(LARDER_CONFLICT, larder_cas(both[i], KEY, larder_text("lost"), 60000, seen));
        if (i == 0) {
            must_read("newer");
            continue;
        }
        must_miss();
        assert_status(LARDER_OK, fill(asked, must_win(asked, LARDER_STALE, "newer"), "computed"));
        must_read("computed");
    }
    larder_close(asked);
}

static void a_fill_that_is_too_late_marks_what_came_between(void **state)
{
    (void)state;
    struct larder_cache *asked = open_at(server, "stale=30s&stale_on_conflict=on");
    struct larder_row row = {.key = KEY, .write = larder_write_of(larder_text("row"), 60000)};
    struct larder_lease lease = must_win(asked, LARDER_MISS, NULL);
    assert_status(LARDER_OK, put("between"));
    assert_status(LARDER_CONFLICT, fill(asked, lease, "late"));
    must_win(asked, LARDER_STALE, "between");
    assert_status(LARDER_OK, put("again"));
    row.write.version = version_of_key(cache) + 1000;
    (void)larder_store_multi(asked, LARDER_CAS, &row, 1);
    assert_status(LARDER_CONFLICT, row.status);
    must_win(asked, LARDER_STALE, "again");
    assert_status(LARDER_MISS, larder_delete(cache, KEY, 0)); /* of what is gone nothing is made */
    assert_status(LARDER_MISS, larder_cas(asked, KEY, larder_text("v"), 60000, 7));
    must_miss();
    larder_close(asked);
}

/* Two that compute one after the other would else void each other's leases for ever. */
static void a_fill_that_is_too_late_leaves_the_next_ones_lease(void **state)
{
    (void)state;
    struct larder_cache *asked = open_at(server, "stale=30s&stale_on_conflict=on");
    struct larder_lease first = must_win(asked, LARDER_MISS, NULL);
    assert_status(LARDER_MISS, larder_delete(cache, KEY, 0));
    struct larder_lease second = must_win(asked, LARDER_MISS, NULL);
    assert_status(LARDER_CONFLICT, fill(asked, first, "late"));
    assert_status(LARDER_OK, fill(asked, second, "in time"));
    must_read("in time");
    assert_status(LARDER_OK, larder_delete(asked, KEY, 0));
    second = must_win(asked, LARDER_STALE, "in time");
    assert_status(LARDER_CONFLICT, fill(asked, first, "late"));
    assert_status(LARDER_OK, fill(asked, second, "computed"));
    must_read("computed");
    larder_close(asked);
}

static void a_stale_lease_that_is_given_back_goes_to_the_next(void **state)
{
    (void)state;
    assert_status(LARDER_OK, put("old"));
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    struct larder_lease first = must_win(stale, LARDER_STALE, "old");
    assert_status(LARDER_OK, larder_lease_return(stale, KEY, first));
    struct larder_lease second = must_win(stale, LARDER_STALE, "old");
    assert_status(LARDER_CONFLICT, larder_lease_return(stale, KEY, first));
    assert_status(LARDER_CONFLICT, fill(stale, first, "late"));
    assert_status(LARDER_OK, fill(stale, second, "new"));
    must_read("new");
}

static void a_delete_at_a_version_marks_that_version_only(void **state)
{
    (void)state;
    struct larder_write write = larder_write_of(larder_text("v"), 60000);
    uint64_t version = 0;
    assert_status(LARDER_OK, larder_store(stale, LARDER_SET, KEY, &write, &version));
    assert_status(LARDER_CONFLICT, larder_delete(stale, KEY, version + 1000));
    must_read("v");
    assert_status(LARDER_OK, larder_delete(stale, KEY, version));
    must_miss();
    must_win(stale, LARDER_STALE, "v");
}

static void rows_are_deleted_to_stale_ones_too(void **state)
{
    (void)state;
    struct larder_row row = {.key = KEY};
    assert_status(LARDER_OK, put("old"));
    assert_status(LARDER_OK, larder_delete_multi(stale, &row, 1));
    assert_status(LARDER_OK, row.status);
    must_win(stale, LARDER_STALE, "old");
}

/* Any mg takes the right to renew a stale entry; one that can't use it gives it back. */
static void a_win_that_a_plain_call_took_goes_to_the_next_lease(void **state)
{
    (void)state;
    struct larder_row row = {.key = KEY};
    struct larder_value value = {0};
    uint64_t number;
    assert_status(LARDER_OK, put("7"));
    assert_status(LARDER_OK, larder_delete(stale, KEY, 0));
    (void)!larder_get(cache, KEY, &value);
    must_win(stale, LARDER_STALE, "7");
    assert_status(LARDER_MISS, larder_delete(stale, KEY, 0));
    (void)!larder_get_multi(cache, &row, 1);
    must_win(stale, LARDER_STALE, "7");
    assert_status(LARDER_MISS, larder_delete(stale, KEY, 0));
    (void)!larder_touch(cache, KEY, 500000);
    assert_status(LARDER_MISS, larder_replace(cache, KEY, larder_text("v"), 0));
    assert_status(LARDER_MISS, larder_append(cache, KEY, larder_text("v")));
    assert_status(LARDER_MISS, larder_cas(cache, KEY, larder_text("v"), 0, 99));
    assert_status(LARDER_MISS, larder_delete(cache, KEY, 99));
    assert_status(LARDER_MISS, larder_incr(stale, KEY, 1, NULL, &number));
    must_win(stale, LARDER_STALE, "7");
    must_be_told("HD s1 f0 Z X", STALE_S + 1);
    assert_true(stat_of(cache, "wins_returned") >= 7);
}

/* ---- servers and options ------------------------------------------------------------------- */

/* memcached -C gives no versions, so nothing can be filled at one: nobody gets a token. */
static void a_server_without_versions_gives_no_leases(void **state)
{
    (void)state;
    const char *const arguments[] = {"-C", NULL};
    struct memcached_server *plain = memcached_server_start(arguments);
    struct larder_cache *on_plain = open_at(plain, "size=2");
    must_lose(on_plain, LARDER_MISS, NULL);
    assert_status(LARDER_OK, larder_set(on_plain, KEY, larder_text("v"), 0));
    must_lose(on_plain, LARDER_OK, "v");
    assert_status(LARDER_OK, larder_replace(on_plain, KEY, larder_text("w"), 0));
    assert_status(LARDER_OK, larder_append(on_plain, KEY, larder_text("x")));
    assert_status(LARDER_EXISTS, larder_add(on_plain, KEY, larder_text("x"), 0));
    assert_status(LARDER_OK, larder_delete(on_plain, KEY, 0));
    assert_status(LARDER_MISS, larder_replace(on_plain, KEY, larder_text("w"), 0));
    larder_close(on_plain);
    memcached_server_stop(plain);
}

static void must_refuse(const char *options, const char *why)
{
    struct larder_cache *opened = NULL;
    char uri[256], message[256] = "";
    snprintf(uri, sizeof(uri), "meta://%s?%s", memcached_server_path(server), options);
    assert_status(LARDER_BAD_ARGUMENT, larder_open(uri, NULL, &opened, message, sizeof(message)));
    assert_non_null(strstr(message, why));
}

static void stale_needs_marks_that_can_be_seen(void **state)
{
    (void)state;
    must_refuse("stale=30s&classic_reads=on", "classic_reads");
    must_refuse("stale=30s&metadata=leases", "metadata");
    must_refuse("stale=31d", "stale");
    must_refuse("stale_on_conflict=on", "stale_on_conflict");
    larder_close(open_at(server, "stale=30d"));
    larder_close(open_at(server, "stale=0s&classic_reads=on"));
}

static void classic_reads_give_no_leases(void **state)
{
    (void)state;
    struct larder_lease lease;
    struct larder_value value = {0};
    struct larder_cache *classic = open_at(server, "classic_reads=on");
    assert_int_equal(larder_can(larder_describe(classic), LARDER_CAN_LEASE), 0);
    assert_status(LARDER_UNSUPPORTED, larder_lease_get(classic, KEY, LEASE_MS, &value, &lease));
    larder_close(classic);
}

/* -------------------------------------------------------------------------------------------- */

#define TEST(name) cmocka_unit_test_setup(name, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_is_an_empty_placeholder_that_dies_with_it),
        TEST(a_token_fits_its_key_only),
        TEST(a_touch_leaves_a_lease_its_end),
        TEST(a_touching_read_tells_the_new_ttl),
        TEST(another_programs_placeholder_is_missing_to_every_write),
        TEST(rows_answer_as_single_writes_do),
        TEST(a_refresh_that_is_given_back_changes_nothing_but_the_version),
        TEST(nobody_refreshes_what_lives_longer_or_for_ever),
        TEST(an_empty_value_without_flags_is_missing_while_it_is_refreshed),
        TEST(an_empty_value_with_flags_is_there_while_it_is_refreshed),
        TEST(a_deleted_value_is_served_stale_while_one_caller_computes),
        TEST(a_stale_key_is_missing_to_all_but_leases),
        TEST(a_delete_while_somebody_computes_voids_what_he_computes),
        TEST(a_lease_on_nothing_leaves_nothing_stale),
        TEST(what_a_store_lost_against_is_marked_stale_only_when_asked),
        TEST(a_fill_that_is_too_late_marks_what_came_between),
        TEST(a_fill_that_is_too_late_leaves_the_next_ones_lease),
        TEST(a_stale_lease_that_is_given_back_goes_to_the_next),
        TEST(a_delete_at_a_version_marks_that_version_only),
        TEST(rows_are_deleted_to_stale_ones_too),
        TEST(a_win_that_a_plain_call_took_goes_to_the_next_lease),
        TEST(a_server_without_versions_gives_no_leases),
        TEST(stale_needs_marks_that_can_be_seen),
        TEST(classic_reads_give_no_leases),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
