/*
 * meta under every fault at every byte of every kind of request and reply: cut, reset, stalled,
 * dripped, late, and replies with every bit changed. What is read is the value or a failure, never
 * something else; no call outlives its deadline; what may have left is UNKNOWN; and the next call
 * on the same cache has its own answer.
 *
 * A fault that ends at the deadline costs it, and there are some thousands: the program runs itself
 * so many times at once, each with a server of its own and every so-manyth byte.
 */
#include "support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/meta.h>
#include <larder/util/deadline.h>

#include "meta_proxied.h"

#define PARTS 12u
#define TIMEOUT_MS 60u
/* On a machine that is busy with other tests. */
#define LATE_MS 2000u

static unsigned part;
static enum fault_kind armed; /* of the trial under way */

static struct larder_cache *open_proxied(unsigned timeout_ms, int is_classic)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "meta://127.0.0.1:%u?timeout=%ums&size=1&exclusive=on%s",
             fault_proxy_port(proxy), timeout_ms, is_classic ? "&classic_reads=on" : "");
    return open_uri(uri);
}

/* ---- operations ---------------------------------------------------------------------------- */

/* One operation; it checks what it was told. */
struct trial {
    const char *name;
    enum larder_status (*run)(struct larder_cache *cache);
    int is_write;
    int looks;   /* it also asks what is there, and then has written nothing */
    int is_long; /* not tried at each byte where that costs the deadline */
};

static const char stored[] = "the value that was stored";
#define STORED_FLAGS 77u

/* Nobody can find a changed byte of a value, or of its flags; but one is all there is, and no
 * length is another one's. */
static void check_value(const void *bytes, size_t length, uint32_t flags)
{
    size_t differing = 0;
    assert_int_equal(length, sizeof(stored));
    for (size_t i = 0; i < length; i++)
        differing += ((const char *)bytes)[i] != stored[i];
    assert_true(differing <= (armed == FAULT_CORRUPT));
    assert_true(armed == FAULT_CORRUPT || flags == STORED_FLAGS);
}

static enum larder_status try_read(struct larder_cache *cache)
{
    char buffer[64];
    struct larder_info info = {.want = LARDER_WANT_VERSION | LARDER_WANT_TTL};
    enum larder_status status = larder_read(cache, larder_text("k"), buffer, sizeof(buffer), &info);
    if (status == LARDER_OK)
        check_value(buffer, info.length, info.flags);
    return status;
}

static enum larder_status try_get(struct larder_cache *cache)
{
    struct larder_value value = {0};
    enum larder_status status = larder_get(cache, larder_text("k"), &value);
    if (status == LARDER_OK)
        check_value(value.bytes.data, value.bytes.length, value.info.flags);
    else
        assert_null(value.owner);
    larder_value_release(&value);
    return status;
}

static enum larder_status try_miss(struct larder_cache *cache)
{
    char byte;
    enum larder_status status = larder_read(cache, larder_text("none"), &byte, 1, NULL);
    assert_true(status != LARDER_OK && status != LARDER_PARTIAL);
    return status == LARDER_MISS ? LARDER_OK : status;
}

static enum larder_status try_set(struct larder_cache *cache)
{
    return larder_set(cache, larder_text("s"), larder_bytes(stored, sizeof(stored)), 60000);
}

static enum larder_status try_add(struct larder_cache *cache)
{
    enum larder_status status =
        larder_add(cache, larder_text("k"), larder_bytes("x", 1), LARDER_TTL_FOREVER);
    return status == LARDER_EXISTS ? LARDER_OK : status;
}

static enum larder_status try_replace(struct larder_cache *cache)
{
    return larder_replace(cache, larder_text("r"), larder_bytes(stored, sizeof(stored)), 600000);
}

static enum larder_status try_append(struct larder_cache *cache)
{
    return larder_append(cache, larder_text("a"), larder_bytes("x", 1));
}

/* A lease that is taken, filled, and given back when the filling failed. Whatever goes wrong, at
 * the end there is a value or nothing, to others too. */
static enum larder_status try_lease(struct larder_cache *cache)
{
    const struct larder_write write = larder_write_of(larder_bytes(stored, sizeof(stored)), 600000);
    struct larder_value value = {0};
    struct larder_lease lease;
    char buffer[64];
    (void)!larder_delete(direct, larder_text("l"), 0);
    enum larder_status status = larder_lease_get(cache, larder_text("l"), 1000, &value, &lease);
    if (armed == FAULT_CORRUPT && status == LARDER_OK) {
        /* the flags of the placeholder were changed: it looks as an empty value that is renewed */
        assert_int_equal(value.bytes.length, 0);
        larder_value_release(&value);
        return lease.token != 0 ? larder_lease_return(cache, larder_text("l"), lease) : status;
    }
    assert_true(status == LARDER_MISS || status < 0);
    assert_true(lease.token == 0 || status == LARDER_MISS);
    if (lease.token == 0) /* MISS: what a connection that was cut before asked has landed late */
        return status == LARDER_MISS ? LARDER_OK : status;
    status = larder_lease_fill(cache, larder_text("l"), lease, &write);
    if (status < 0)
        (void)!larder_lease_return(cache, larder_text("l"), lease);
    enum larder_status seen = larder_read(direct, larder_text("l"), buffer, sizeof(buffer), NULL);
    assert_true(seen == LARDER_MISS || seen == LARDER_OK);
    if (seen == LARDER_OK)
        assert_memory_equal(buffer, stored, sizeof(stored));
    return status;
}

static struct larder_call quiet_call(void)
{
    struct larder_call call = LARDER_CALL_INIT;
    call.flags = LARDER_NO_REPLY;
    return call;
}

/* A write whose reply nobody waited for, and what is read behind it on the same connection. */
static enum larder_status try_quiet(struct larder_cache *cache)
{
    const struct larder_call call = quiet_call();
    struct larder_write write = larder_write_of(larder_text("quiet"), 60000);
    enum larder_status status =
        larder_store_with(cache, &call, LARDER_SET, larder_text("q"), &write, NULL);
    enum larder_status read = try_read(cache);
    return read < 0 ? read : status;
}

static enum larder_status try_delete(struct larder_cache *cache)
{
    enum larder_status status = larder_delete(cache, larder_text("none"), 0);
    return status == LARDER_MISS ? LARDER_OK : status;
}

static enum larder_status try_incr(struct larder_cache *cache)
{
    const struct larder_initial initial = {0, LARDER_TTL_FOREVER, 0, 0};
    uint64_t number = 0;
    enum larder_status status = larder_incr(cache, larder_text("n"), 1, &initial, &number);
    assert_true(status != LARDER_OK || number > 0 || armed == FAULT_CORRUPT);
    return status;
}

static enum larder_status try_touch(struct larder_cache *cache)
{
    return larder_touch(cache, larder_text("k"), 60000);
}

static enum larder_status try_many(struct larder_cache *cache)
{
    struct larder_row rows[5] = {0};
    char buffers[5][64];
    enum larder_status lowest = LARDER_OK;
    for (size_t i = 0; i < 5; i++) {
        rows[i].key = larder_text(i % 2 == 0 ? "k" : "none");
        rows[i].buffer = buffers[i];
        rows[i].size = sizeof(buffers[i]);
    }
    (void)!larder_many(cache, NULL, LARDER_MANY_READ, LARDER_SET, rows, 5,
                       sizeof(struct larder_row));
    for (size_t i = 0; i < 5; i++) {
        assert_true(rows[i].status < 0 || rows[i].status == (i % 2 == 0 ? LARDER_OK : LARDER_MISS));
        if (rows[i].status == LARDER_OK)
            check_value(buffers[i], rows[i].value.info.length, rows[i].value.info.flags);
        if (rows[i].status < lowest)
            lowest = rows[i].status;
    }
    return lowest;
}

/* The same, on a cache that reads by classic lines. */
static enum larder_status try_many_classic(struct larder_cache *cache)
{
    return try_many(cache);
}

/* The server's limits are asked for before it, by a classic request. */
static enum larder_status try_limited(struct larder_cache *cache)
{
    static const char bytes[1500];
    enum larder_status status =
        larder_set(cache, larder_text("limited"), larder_bytes(bytes, sizeof(bytes)), 60000);
    /* a changed limit is another one */
    return armed == FAULT_CORRUPT && status == LARDER_TOO_LARGE ? LARDER_OK : status;
}

static enum larder_status try_get_and_touch(struct larder_cache *cache)
{
    struct larder_value value = {0};
    enum larder_status status = larder_get_and_touch(cache, larder_text("k"), 600000, &value);
    if (status == LARDER_OK)
        check_value(value.bytes.data, value.bytes.length, value.info.flags);
    larder_value_release(&value);
    return status;
}

static enum larder_status try_flush(struct larder_cache *cache)
{
    return larder_flush(cache);
}

static const struct trial trials[] = {
    {"read", try_read, 0, 0, 0},
    {"get", try_get, 0, 0, 0},
    {"miss", try_miss, 0, 0, 0},
    {"set", try_set, 1, 0, 0},
    {"add", try_add, 1, 1, 0},
    {"replace", try_replace, 1, 1, 0},
    {"append", try_append, 1, 1, 0},
    {"delete", try_delete, 1, 0, 0},
    {"incr", try_incr, 1, 0, 0},
    {"touch", try_touch, 1, 0, 0},
    {"get_and_touch", try_get_and_touch, 1, 0, 0},
    {"lease", try_lease, 1, 1, 0},
    {"quiet", try_quiet, 1, 1, 0},
    {"many", try_many, 0, 0, 0},
    {"many classic", try_many_classic, 0, 0, 0},
    {"set, limited", try_limited, 1, 1, 1},
    {"flush", try_flush, 1, 0, 0}, /* the last: it may come late */
};
enum { TRIALS = sizeof(trials) / sizeof(trials[0]) };
/* A trial may be three calls, of which each has all of its time. */
#define CALLS_OF_A_TRIAL 3u

/* What may be answered under a fault. */
static void check_status(const struct trial *trial, const struct fault *fault,
                         enum larder_status status)
{
    int fine = status == LARDER_OK || status == LARDER_TIMEOUT || status == LARDER_UNAVAILABLE ||
               status == LARDER_PROTOCOL || (trial->is_write && status == LARDER_UNKNOWN);
    /* It left us. TIMEOUT: on a busy machine connecting alone may take all the time there is. */
    if (trial->is_write && !trial->looks && fault->kind != FAULT_CORRUPT &&
        fault->side == FAULT_REPLY)
        fine = status == LARDER_OK || status == LARDER_UNKNOWN || status == LARDER_TIMEOUT;
    /* a changed version is that of another lease */
    fine |= trial->run == try_lease && fault->kind == FAULT_CORRUPT && status == LARDER_CONFLICT;
    if (!fine)
        fail_msg("%s, fault %d on side %d at %zu: %s", trial->name, (int)fault->kind,
                 (int)fault->side, fault->at, larder_status_name(status));
}

static void disarm(void)
{
    const struct fault none = {.kind = FAULT_NONE};
    armed = FAULT_NONE;
    fault_proxy_set(proxy, &none);
}

/* How many bytes of each side an operation takes, with all that it asks first. */
static void measure(const struct trial *trial, size_t passed[2])
{
    struct larder_cache *cache = open_proxied(5000, trial->run == try_many_classic);
    disarm();
    assert_status(LARDER_OK, trial->run(cache));
    passed[FAULT_REQUEST] = fault_proxy_passed(proxy, FAULT_REQUEST);
    passed[FAULT_REPLY] = fault_proxy_passed(proxy, FAULT_REPLY);
    larder_close(cache);
}

static void prepare(void)
{
    struct larder_write write = larder_write_of(larder_bytes(stored, sizeof(stored)), 600000);
    write.flags = STORED_FLAGS;
    assert_status(LARDER_OK, larder_store(direct, LARDER_SET, larder_text("k"), &write, NULL));
    (void)!larder_delete(direct, larder_text("none"), 0);
    assert_status(LARDER_OK, larder_set(direct, larder_text("r"), larder_text("old"), 600000));
    assert_status(LARDER_OK, larder_set(direct, larder_text("a"), larder_text("old"), 600000));
}

/* Without a fault. Whatever the one before has left, this has its own answer, or says why not. */
static void try_next(const struct trial *trial, const struct fault *fault,
                     struct larder_cache *cache)
{
    disarm();
    enum larder_status status = try_read(cache);
    if (trial->run == try_flush && status == LARDER_MISS)
        return;
    if (status != LARDER_OK && status != LARDER_UNAVAILABLE && status != LARDER_TIMEOUT)
        fail_msg("a read after %s with fault %d at %zu: %s", trial->name, (int)fault->kind,
                 fault->at, larder_status_name(status));
}

/* A new cache each time, so that one fault is one story: no connection stands, and nobody is marked
 * down. */
static void try_fault(const struct trial *trial, const struct fault *fault)
{
    struct larder_cache *cache = open_proxied(TIMEOUT_MS, trial->run == try_many_classic);
    fault_proxy_set(proxy, fault);
    armed = fault->kind;
    uint64_t began_ns = larder_monotonic_ns();
    enum larder_status status = trial->run(cache);
    uint64_t took_ms = (larder_monotonic_ns() - began_ns) / 1000000;
    check_status(trial, fault, status);
    if (took_ms > CALLS_OF_A_TRIAL * TIMEOUT_MS + LATE_MS)
        fail_msg("%s, fault %d at %zu took %llu ms", trial->name, (int)fault->kind, fault->at,
                 (unsigned long long)took_ms);
    try_next(trial, fault, cache);
    larder_close(cache);
}

/* ---- every byte ---------------------------------------------------------------------------- */

/* @param mask  of a corruption */
static void sweep_side(const struct trial *trial, enum fault_kind kind, enum fault_side side,
                       size_t bytes, unsigned mask)
{
    int is_cheap = kind == FAULT_CUT || kind == FAULT_RESET;
    size_t every = trial->is_long && !is_cheap ? PARTS * 11 : PARTS;
    for (size_t at = part; at < bytes; at += every) {
        const struct fault fault = {.kind = kind,
                                    .side = side,
                                    .at = at,
                                    .mask = (unsigned char)mask,
                                    .pause_ms = kind == FAULT_LATE ? TIMEOUT_MS + 10 : 2};
        try_fault(trial, &fault);
    }
}

/* What a changed request does is the server's to say. */
static void sweep(enum fault_kind kind)
{
    for (size_t i = 0; i < TRIALS; i++) {
        size_t passed[2];
        prepare();
        measure(&trials[i], passed);
        for (unsigned bit = 0; bit < 8 && kind == FAULT_CORRUPT; bit++)
            sweep_side(&trials[i], kind, FAULT_REPLY, passed[FAULT_REPLY], 1u << bit);
        for (int side = 0; side < 2 && kind != FAULT_CORRUPT; side++)
            sweep_side(&trials[i], kind, (enum fault_side)side, passed[side], 0);
        if (part == 0)
            print_message("%s: %zu bytes of requests, %zu of replies\n", trials[i].name,
                          passed[FAULT_REQUEST], passed[FAULT_REPLY]);
    }
}

/* ---- the parts ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum fault_kind kind;
} sweeps[] = {{"cut", FAULT_CUT},   {"reset", FAULT_RESET},     {"stall", FAULT_STALL},
              {"drip", FAULT_DRIP}, {"corrupt", FAULT_CORRUPT}, {"late", FAULT_LATE}};
#define SWEEPS (sizeof(sweeps) / sizeof(sweeps[0]))

static void sweep_a_part(void **state)
{
    sweep(*(const enum fault_kind *)*state);
}

/* @return what the program ends with */
static int run_part(const char *name, const char *number)
{
    static enum fault_kind kind;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(sweep_a_part, &kind)};
    for (size_t i = 0; i < SWEEPS; i++)
        if (strcmp(sweeps[i].name, name) == 0)
            kind = sweeps[i].kind;
    part = (unsigned)strtoul(number, NULL, 10);
    return cmocka_run_group_tests(tests, start_proxied, stop_proxied);
}

/* In the child: the same program, for one part, which ends with this one. */
static void become_part(const char *name, unsigned number, pid_t parent)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", number);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* what fails is told on the other one */
    if (getppid() == parent && freopen("/dev/null", "w", stdout) != NULL)
        execl("/proc/self/exe", "meta_sweep_test", name, text, (char *)NULL);
    _exit(127);
}

static void sweep_in_parts(const char *name)
{
    pid_t children[PARTS], parent = getpid();
    unsigned failed = 0;
    for (unsigned i = 0; i < PARTS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            become_part(name, i, parent);
    }
    for (unsigned i = 0; i < PARTS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    }
    assert_int_equal(failed, 0);
}

static void a_cut_at_any_byte_is_a_failure_or_the_answer(void **state)
{
    (void)state;
    sweep_in_parts("cut");
}

static void a_reset_at_any_byte_is_a_failure_or_the_answer(void **state)
{
    (void)state;
    sweep_in_parts("reset");
}

static void a_stall_at_any_byte_ends_at_the_deadline(void **state)
{
    (void)state;
    sweep_in_parts("stall");
}

static void a_drip_from_any_byte_ends_at_the_deadline(void **state)
{
    (void)state;
    sweep_in_parts("drip");
}

static void a_reply_with_any_bit_changed_is_never_another_answer(void **state)
{
    (void)state;
    sweep_in_parts("corrupt");
}

static void what_is_late_from_any_byte_answers_nobody_else(void **state)
{
    (void)state;
    sweep_in_parts("late");
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_at_any_byte_is_a_failure_or_the_answer),
        cmocka_unit_test(a_reset_at_any_byte_is_a_failure_or_the_answer),
        cmocka_unit_test(a_stall_at_any_byte_ends_at_the_deadline),
        cmocka_unit_test(a_drip_from_any_byte_ends_at_the_deadline),
        cmocka_unit_test(a_reply_with_any_bit_changed_is_never_another_answer),
        cmocka_unit_test(what_is_late_from_any_byte_answers_nobody_else),
    };
    if (count == 3)
        return run_part(arguments[1], arguments[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
