/*
 * Writes cut at every byte of their request and of their reply, in front of a real memcached. The
 * recording server's log, and what memcached keeps afterwards, decide whether the status was right:
 * a definite answer only when the whole reply came, UNKNOWN whenever a byte had left and it did
 * not, a failure that promises that nothing was written only when nothing of the write left. No
 * write is ever sent twice, and what is read next is what memcached has.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <larder/memcached.h>
#include "memcached_server.h"
#include "recording_server.h"
#include "scripted_server.h"

#define PATIENT_MS 20000u /* a cut is seen at once; nothing here waits so long */
#define KEY "k"
#define OLD_FLAGS 7u
#define TOUCHED_S 1000
#define BINARY_HEADER_BYTES 24

struct variant {
    const char *name;
    int binary;
    int pooled;
    int warm;  /* a read goes before the write, so that its connection has answered before */
    int every; /* cut at every byte; else at the ends, in the middle and beside them */
};

static struct memcached_server *memcached;

/* ---- what memcached has --------------------------------------------------------------------- */

struct state {
    int found;
    char value[64];
    unsigned flags;
    long ttl_s;       /* -1: for ever */
    uint64_t version; /* every write but touch changes it */
};

static int teller = -1; /* a connection of the test's own to memcached */

static void connect_teller(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = memcached_server_path(memcached);
    teller = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(connect(teller, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void tell(const char *request, char *line, size_t size)
{
    assert_true(scripted_say(teller, request));
    assert_non_null(scripted_read_line(teller, line, size));
}

static struct state state_read(void)
{
    struct state state = {0};
    char line[256];
    size_t length;
    tell("mg " KEY " v f t c\r\n", line, sizeof(line));
    if (strcmp(line, "EN") == 0)
        return state;
    state.found = 1;
    assert_int_equal(sscanf(line, "VA %zu f%u t%ld c%" SCNu64, &length, &state.flags, &state.ttl_s,
                            &state.version),
                     4);
    assert_non_null(scripted_read_line(teller, state.value, sizeof(state.value)));
    assert_int_equal(strlen(state.value), length);
    return state;
}

static struct state state_seed(const char *value)
{
    char request[128], line[256];
    tell("delete " KEY "\r\n", line, sizeof(line));
    if (value != NULL) {
        snprintf(request, sizeof(request), "set " KEY " %u 0 %zu\r\n%s\r\n", OLD_FLAGS,
                 strlen(value), value);
        tell(request, line, sizeof(line));
        assert_string_equal(line, "STORED");
    }
    return state_read();
}

/* ---- operations ----------------------------------------------------------------------------- */

enum action { STORE, REMOVE, TOUCH, COUNT };

enum version { NO_VERSION, ITS_VERSION, ANOTHER_VERSION };

static const struct larder_initial ten = {.value = 10, .ttl_ms = 0, .flags = OLD_FLAGS};

struct operation {
    const char *name;
    const char *seed; /* NULL: there is no entry */
    enum action action;
    enum larder_mode mode;
    enum larder_direction direction;
    enum version version;
    const struct larder_initial *initial;
    unsigned write;            /* which of the call's writes is cut */
    enum larder_status answer; /* when the whole reply came, also if the connection ends then */
    const char *after;         /* the value once memcached has seen it; NULL: no entry */
};

#define STORES(mode_name) .action = STORE, .mode = LARDER_##mode_name, .write = 1
#define COUNTS(direction_name) .action = COUNT, .direction = LARDER_##direction_name
#define ANSWERS(status_name) .answer = LARDER_##status_name

static const struct operation operations[] = {
    {"set", "old", STORES(SET), ANSWERS(OK), .after = "new"},
    {"set, no entry", NULL, STORES(SET), ANSWERS(OK), .after = "new"},
    {"add", NULL, STORES(ADD), ANSWERS(OK), .after = "new"},
    {"add, an entry", "old", STORES(ADD), ANSWERS(EXISTS), .after = "old"},
    {"replace", "old", STORES(REPLACE), ANSWERS(OK), .after = "new"},
    {"replace, no entry", NULL, STORES(REPLACE), ANSWERS(MISS), .after = NULL},
    {"append", "old", STORES(APPEND), ANSWERS(OK), .after = "oldnew"},
    {"append, no entry", NULL, STORES(APPEND), ANSWERS(MISS), .after = NULL},
    {"prepend", "old", STORES(PREPEND), ANSWERS(OK), .after = "newold"},
    {"prepend, no entry", NULL, STORES(PREPEND), ANSWERS(MISS), .after = NULL},
    {"cas", "old", STORES(CAS), .version = ITS_VERSION, ANSWERS(OK), .after = "new"},
    {"cas, changed", "old", STORES(CAS), .version = ANOTHER_VERSION, ANSWERS(CONFLICT),
     .after = "old"},
    {"cas, no entry", NULL, STORES(CAS), .version = ANOTHER_VERSION, ANSWERS(MISS), .after = NULL},
    {"delete", "old", .action = REMOVE, .write = 1, ANSWERS(OK), .after = NULL},
    {"delete, no entry", NULL, .action = REMOVE, .write = 1, ANSWERS(MISS), .after = NULL},
    {"versioned delete", "old", .action = REMOVE, .version = ITS_VERSION, .write = 1, ANSWERS(OK),
     .after = NULL},
    {"versioned delete, changed", "old", .action = REMOVE, .version = ANOTHER_VERSION, .write = 1,
     ANSWERS(CONFLICT), .after = "old"},
    {"touch", "old", .action = TOUCH, .write = 1, ANSWERS(OK), .after = "old"},
    {"touch, no entry", NULL, .action = TOUCH, .write = 1, ANSWERS(MISS), .after = NULL},
    {"incr", "5", COUNTS(UP), .write = 1, ANSWERS(OK), .after = "8"},
    {"incr, no entry", NULL, COUNTS(UP), .write = 1, ANSWERS(MISS), .after = NULL},
    {"incr, no number", "old", COUNTS(UP), .write = 1, ANSWERS(NOT_A_NUMBER), .after = "old"},
    {"decr", "5", COUNTS(DOWN), .write = 1, ANSWERS(OK), .after = "2"},
    {"incr with initial, an entry", "5", COUNTS(UP), .initial = &ten, .write = 1, ANSWERS(OK),
     .after = "8"},
    /* When only the first of the two is answered, the second leaves on a dead connection. */
    {"incr with initial, its incr", NULL, COUNTS(UP), .initial = &ten, .write = 1, ANSWERS(UNKNOWN),
     .after = NULL},
    {"incr with initial, its add", NULL, COUNTS(UP), .initial = &ten, .write = 2, ANSWERS(OK),
     .after = "13"},
    {"decr with initial, its add", NULL, COUNTS(DOWN), .initial = &ten, .write = 2, ANSWERS(OK),
     .after = "7"},
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

static uint64_t version_for(const struct operation *operation, const struct state *before)
{
    if (operation->version == NO_VERSION)
        return 0;
    return before->version + (operation->version == ANOTHER_VERSION ? 1 : 0);
}

static enum larder_status perform(struct larder_cache *cache, const struct operation *operation,
                                  const struct state *before)
{
    struct larder_slice key = larder_text(KEY);
    struct larder_write write = larder_write_of(larder_text("new"), LARDER_TTL_FOREVER);
    switch (operation->action) {
    case STORE:
        write.version = version_for(operation, before);
        write.flags =
            operation->mode == LARDER_APPEND || operation->mode == LARDER_PREPEND ? 0 : OLD_FLAGS;
        return larder_store(cache, operation->mode, key, &write, NULL);
    case REMOVE:
        return larder_delete(cache, key, version_for(operation, before));
    case TOUCH:
        return larder_touch(cache, key, INT64_C(1000) * TOUCHED_S);
    case COUNT:
        return larder_count(cache, key, operation->direction, 3, operation->initial, NULL);
    }
    return LARDER_UNSUPPORTED;
}

/* ---- one case ------------------------------------------------------------------------------- */

/* Statuses are small numbers of either sign. */
#define STATUS_LOWEST LARDER_CLOSED
#define STATUS_COUNT (LARDER_WOULD_BLOCK - STATUS_LOWEST + 1)

struct bench {
    const struct variant *variant;
    const struct operation *operation;
    struct recording_server *server;
    struct larder_cache *cache; /* through the server; NULL: the next case opens one */
    unsigned cuts;
    unsigned answers[STATUS_COUNT];
    unsigned wrong;
};

static struct larder_cache *open_at(const struct variant *variant, const char *path)
{
    struct larder_memcached_options options = LARDER_MEMCACHED_OPTIONS_INIT;
    struct larder_pooled_memcached_options pooled = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    struct larder_cache *cache;
    char message[256];
    options.servers = pooled.servers = path;
    options.binary = pooled.binary = (uint64_t)variant->binary;
    options.timeout_ms = pooled.timeout_ms = PATIENT_MS;
    options.connect_timeout_ms = pooled.connect_timeout_ms = PATIENT_MS;
    pooled.size = 1;
    enum larder_status status =
        variant->pooled
            ? larder_pooled_memcached_open(&pooled, NULL, &cache, message, sizeof(message))
            : larder_memcached_open(&options, NULL, &cache, message, sizeof(message));
    if (status != LARDER_OK)
        fail_msg("%s", message);
    return cache;
}

static void complain(struct bench *bench, const struct recording_cut *cut, const char *what,
                     enum larder_status status)
{
    bench->wrong++;
    print_error("%s, %s, cut after %zu bytes of the %s%s: %s (%s)\n", bench->variant->name,
                bench->operation->name, cut->after, cut->in_reply ? "reply" : "request",
                cut->reset ? " by a reset" : "", what, larder_status_name(status));
}

static int reads_the_same(struct larder_cache *cache, const struct state *state)
{
    char buffer[64] = "";
    enum larder_status status =
        larder_read(cache, larder_text(KEY), buffer, sizeof(buffer) - 1, NULL);
    if (!state->found)
        return status == LARDER_MISS;
    return status == LARDER_OK && strcmp(buffer, state->value) == 0;
}

/* A warm cache serves case after case: whatever a cut left behind would show. A cold one is for one
 * case only. */
static void cache_begin(struct bench *bench, const struct state *state)
{
    if (bench->cache != NULL)
        return;
    bench->cache = open_at(bench->variant, recording_server_path(bench->server));
    if (bench->variant->warm)
        assert_true(reads_the_same(bench->cache, state));
}

static void cache_end(struct bench *bench)
{
    larder_close(bench->cache);
    bench->cache = NULL;
}

/* Over a new connection. A server whose first connection was cut is marked down, so that only
 * another cache may ask it at once. */
static int reads_the_same_afterwards(struct bench *bench, const struct state *state)
{
    if (!bench->variant->warm) {
        cache_end(bench);
        cache_begin(bench, state);
    }
    int same = reads_the_same(bench->cache, state);
    if (!bench->variant->warm)
        cache_end(bench);
    return same;
}

static size_t writes_in(const struct recording_log *log)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++)
        count += log->requests[i].kind == RECORDING_WRITE;
    return count;
}

static int is_untouched(const struct state *before, const struct state *after)
{
    return before->found == after->found && strcmp(before->value, after->value) == 0 &&
           before->flags == after->flags && before->ttl_s == after->ttl_s &&
           before->version == after->version;
}

/* Once, and as asked. */
static int is_applied(const struct operation *operation, const struct state *before,
                      const struct state *after)
{
    int same_value = operation->seed == NULL ? operation->after == NULL
                                             : operation->after != NULL &&
                                                   strcmp(operation->seed, operation->after) == 0;
    if (same_value && operation->action != TOUCH)
        return is_untouched(before, after);
    if (operation->after == NULL)
        return !after->found;
    if (!after->found || strcmp(after->value, operation->after) != 0 || after->flags != OLD_FLAGS)
        return 0;
    return operation->action == TOUCH
               ? after->ttl_s >= TOUCHED_S - 10 && after->ttl_s <= TOUCHED_S + 2
               : after->ttl_s == -1;
}

/* The header of a binary refusal says all: what follows are words for people. */
static int is_decided(const struct bench *bench, const struct recording_request *request)
{
    return bench->variant->binary && bench->operation->answer == LARDER_NOT_A_NUMBER &&
           request->answered >= BINARY_HEADER_BYTES;
}

/* What the caller sees and what memcached has, against the log. */
static void judge_write(struct bench *bench, const struct recording_cut *cut,
                        const struct recording_log *log, enum larder_status status,
                        const struct state *before, const struct state *after)
{
    const struct operation *operation = bench->operation;
    const struct recording_request *request = NULL;
    unsigned number = 0;
    for (size_t i = 0; i < log->count; i++)
        if (log->requests[i].kind == RECORDING_WRITE && ++number == operation->write)
            request = &log->requests[i];
    if (request == NULL || !log->cut || number != operation->write || log->partial != 0) {
        complain(bench, cut, "not every write was sent just once", status);
        return;
    }
    int delivered = request->forwarded == request->length;
    int answered = delivered && request->answered == request->reply_length;
    int unknown_is_right = !answered || cut->reset; /* a reset may overtake the reply */
    int answer_is_right = answered || is_decided(bench, request);
    if (!(unknown_is_right && status == LARDER_UNKNOWN) &&
        !(answer_is_right && status == operation->answer))
        complain(bench, cut, "another status than the log says", status);
    if (delivered ? !is_applied(operation, before, after) : !is_untouched(before, after))
        complain(bench, cut, "memcached has something else than the log says", status);
}

/* Nothing of the write left, or nothing of it came out of the connection. */
static void judge_unsent(struct bench *bench, const struct recording_cut *cut,
                         const struct recording_log *log, enum larder_status status, int may_leave,
                         const struct state *before, const struct state *after)
{
    int promises_nothing = status == LARDER_UNAVAILABLE || status == LARDER_PROTOCOL;
    if (!log->cut || writes_in(log) != 0 || log->partial != 0 || !is_untouched(before, after))
        complain(bench, cut, "a write was sent", status);
    if (!promises_nothing && !(may_leave && status == LARDER_UNKNOWN))
        complain(bench, cut, "another status than the log says", status);
}

/* @return of the cut message, how long it was */
static size_t length_cut(const struct recording_log *log, const struct recording_cut *cut)
{
    unsigned number = 0;
    for (size_t i = 0; i < log->count; i++) {
        const struct recording_request *request = &log->requests[i];
        if (request->kind == cut->kind && ++number == cut->number)
            return cut->in_reply ? request->reply_length : request->length;
    }
    return 0;
}

static void count_answer(struct bench *bench, enum larder_status status)
{
    bench->cuts++;
    bench->answers[status - STATUS_LOWEST]++;
}

static size_t run_case(struct bench *bench, const struct recording_cut *cut)
{
    const struct recording_cut none = {0};
    struct state before = state_seed(bench->operation->seed);
    recording_server_arm(bench->server, cut->kind == RECORDING_READ ? cut : &none);
    cache_begin(bench, &before);
    if (cut->kind != RECORDING_READ)
        recording_server_arm(bench->server, cut);
    enum larder_status status = perform(bench->cache, bench->operation, &before);
    struct recording_log log = recording_server_log(bench->server);
    size_t length = length_cut(&log, cut);
    recording_server_arm(bench->server, &none);
    struct state after = state_read();

    if (cut->kind == RECORDING_WRITE)
        judge_write(bench, cut, &log, status, &before, &after);
    else
        judge_unsent(bench, cut, &log, status, cut->in_reply && cut->after >= length, &before,
                     &after);
    if (!reads_the_same_afterwards(bench, &after))
        complain(bench, cut, "a wrong value afterwards", status);
    count_answer(bench, status);
    return length;
}

/* ---- all cases of an operation -------------------------------------------------------------- */

static int is_sampled(const struct variant *variant, size_t after, size_t length)
{
    return variant->every || after <= 1 || after == length / 2 || after + 1 >= length;
}

static size_t cut_everywhere(struct bench *bench, struct recording_cut cut)
{
    size_t length = 0;
    for (cut.after = 0; cut.after <= length; cut.after++)
        if (is_sampled(bench->variant, cut.after, length))
            length = run_case(bench, &cut);
    return length;
}

static void print_answers(const struct bench *bench, const char *what, size_t request, size_t reply)
{
    print_message("%-24s %-28s %3zu + %2zu bytes, %3u cuts:", bench->variant->name, what, request,
                  reply, bench->cuts);
    for (int i = STATUS_COUNT - 1; i >= 0; i--)
        if (bench->answers[i] != 0)
            print_message(" %u %s", bench->answers[i],
                          larder_status_name((enum larder_status)(i + (int)STATUS_LOWEST)));
    print_message("\n");
}

/* Every cut of one message, by close and by reset, of its request and of its reply. */
static unsigned cut_message(const struct variant *variant, const struct operation *operation,
                            enum recording_kind kind, const char *what)
{
    struct recording_cut cut = {.kind = kind, .number = 1};
    struct bench bench = {.variant = variant, .operation = operation};
    size_t lengths[2] = {0, 0};
    if (kind == RECORDING_WRITE)
        cut.number = operation->write;
    bench.server = recording_server_start(memcached_server_path(memcached));
    for (cut.reset = 0; cut.reset <= 1; cut.reset++)
        for (cut.in_reply = 0; cut.in_reply <= 1; cut.in_reply++)
            lengths[cut.in_reply] = cut_everywhere(&bench, cut);
    cache_end(&bench);
    recording_server_stop(bench.server);
    print_answers(&bench, what, lengths[0], lengths[1]);
    return bench.wrong;
}

static void a_cut_write_is_answered_by_what_arrived(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        wrong += cut_message(*state, &operations[i], RECORDING_WRITE, operations[i].name);
    assert_int_equal(wrong, 0);
}

/* The one case in which larder may promise that nothing was written. */
static void a_write_after_a_cut_greeting_is_not_sent(void **state)
{
    struct variant variant = *(const struct variant *)*state;
    variant.warm = 0;
    assert_int_equal(cut_message(&variant, &operations[0], RECORDING_GREETING, "version, then set"),
                     0);
}

static void a_write_on_a_connection_that_ended_is_not_repeated(void **state)
{
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct bench bench = {.variant = *state, .operation = &operations[i]};
        const struct recording_cut after_the_read = {
            .kind = RECORDING_READ, .number = 1, .in_reply = 1, .after = SIZE_MAX};
        bench.server = recording_server_start(memcached_server_path(memcached));
        (void)run_case(&bench, &after_the_read);
        cache_end(&bench);
        recording_server_stop(bench.server);
        assert_int_equal(bench.wrong, 0);
        assert_int_equal(bench.answers[LARDER_UNKNOWN - STATUS_LOWEST], 1);
    }
}

/* ---- the program ---------------------------------------------------------------------------- */

static int start(void **state)
{
    (void)state;
    memcached = memcached_server_start(NULL);
    connect_teller();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    close(teller);
    memcached_server_stop(memcached);
    return 0;
}

static struct variant text = {"memcached text", 0, 0, 1, 1};
static struct variant binary = {"memcached binary", 1, 0, 1, 1};
static struct variant pooled_text = {"pooled-memcached text", 0, 1, 0, 0};
static struct variant pooled_binary = {"pooled-memcached binary", 1, 1, 0, 0};

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_cut_write_is_answered_by_what_arrived, &text),
        cmocka_unit_test_prestate(a_cut_write_is_answered_by_what_arrived, &binary),
        cmocka_unit_test_prestate(a_cut_write_is_answered_by_what_arrived, &pooled_text),
        cmocka_unit_test_prestate(a_cut_write_is_answered_by_what_arrived, &pooled_binary),
        cmocka_unit_test_prestate(a_write_after_a_cut_greeting_is_not_sent, &text),
        cmocka_unit_test_prestate(a_write_after_a_cut_greeting_is_not_sent, &binary),
        cmocka_unit_test_prestate(a_write_on_a_connection_that_ended_is_not_repeated, &text),
        cmocka_unit_test_prestate(a_write_on_a_connection_that_ended_is_not_repeated, &binary),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
