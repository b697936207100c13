/* One exchange with one server: mark-down, member, connection, question, verdict. */
#include "meta.h"

#include <string.h>
#include <time.h>

#include <larder/util/deadline.h>
#include <larder/util/pool_order.h>

/* A connection that was idle for longer is looked at before it is used. */
#define IDLE_TRUSTED_NS UINT64_C(100000000)

/* ---- the call ------------------------------------------------------------------------------ */

enum larder_status meta_call_begin(struct call *call, const struct larder_scope *scope)
{
    struct meta *meta = scope->self;
    call->meta = meta;
    call->scope = scope;
    if (atomic_load_explicit(&meta->shut, memory_order_relaxed))
        return LARDER_CLOSED;
    if (larder_scope_no_wait(scope))
        return LARDER_WOULD_BLOCK;
    call->now_ns = larder_monotonic_ns();
    call->deadline_ns = larder_scope_deadline_from(scope, call->now_ns, meta->timeout_ms);
    return LARDER_OK;
}

uint32_t meta_place(const struct meta *meta, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire)
{
    if (scope->server != 0)
        return scope->server - 1;
    if (scope->call != NULL && scope->call->routing_key.length > 0)
        return larder_placement_of(meta->placement, scope->call->routing_key);
    if (meta->tags) {
        struct larder_slice tag = larder_key_tag(key);
        if (tag.length != key.length)
            return larder_placement_of(meta->placement, tag);
    }
    return larder_placement_of(meta->placement, wire);
}

enum larder_status meta_call_target(const struct call *call, struct larder_slice key,
                                    struct target *target)
{
    const struct larder_scope *scope = call->scope;
    if (scope->server > call->meta->site_count)
        return LARDER_BAD_ARGUMENT;
    enum larder_status status = larder_key_encode(key, scope->flags, &target->wire);
    if (status != LARDER_OK)
        return status;
    int only_one = call->meta->site_count == 1;
    target->number = only_one ? 0 : meta_place(call->meta, scope, key, target->wire.bytes);
    target->site = call->meta->sites[target->number];
    return LARDER_OK;
}

/* This and meta_ask() are flat, one frame each: every call takes all their steps, and saving
 * registers at each was a tenth of its instructions. */
__attribute__((flatten)) enum larder_status meta_call_begin_on(struct call *call,
                                                               const struct larder_scope *scope,
                                                               struct larder_slice key,
                                                               struct target *target)
{
    enum larder_status status = meta_call_begin(call, scope);
    return status == LARDER_OK ? meta_call_target(call, key, target) : status;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* @return UNAVAILABLE when the site is down and it is somebody else's turn to probe, CLOSED when
 * the cache was shut down as well */
static enum larder_status line_ask(const struct call *call, struct line *line)
{
    struct larder_markdown *markdown = &line->site->markdown;
    line->ticket = 0;
    if (larder_markdown_is_up(markdown) ||
        larder_markdown_ask(markdown, call->now_ns, &line->ticket) != LARDER_MARKDOWN_DOWN)
        return LARDER_OK;
    if (meta_site_is_shut(line->site))
        return LARDER_CLOSED;
    SITE_COUNT(line->site, refused_down);
    return LARDER_UNAVAILABLE;
}

static enum larder_status line_acquire(struct call *call, struct line *line, int wait)
{
    void *object = NULL;
    enum larder_status status = larder_pool_acquire_until(line->site->pool, 0, &object);
    if (status == LARDER_WOULD_BLOCK && wait) {
        status = larder_pool_acquire_until(line->site->pool, call->deadline_ns, &object);
        call->now_ns = larder_monotonic_ns();
    }
    line->member = object;
    return status;
}

/* A prober always dials: then a failed probe has written nothing. */
static int is_stale(const struct call *call, const struct line *line)
{
    const struct member *member = line->member;
    return line->ticket != 0 ||
           member->epoch != atomic_load_explicit(&line->site->epoch, memory_order_relaxed) ||
           (call->now_ns > member->connection.idle_ns + IDLE_TRUSTED_NS &&
            meta_connection_has_news(&member->connection));
}

/* A Unix socket whose queue is full can't be waited for otherwise. */
static enum connection_step dial_in_time(struct call *call, struct line *line)
{
    const struct timespec moment = {0, 1000000};
    for (;;) {
        enum connection_step step = meta_site_dial(line->site, line->member);
        if (step != STEP_LATER)
            return step;
        call->now_ns = larder_monotonic_ns();
        if (call->now_ns >= line->connect_ns || call->now_ns >= call->deadline_ns)
            return STEP_TIMEOUT;
        nanosleep(&moment, NULL);
    }
}

/* ---- what a connection is owed ------------------------------------------------------------- */

struct settling {
    struct exchange exchange; /* first: a pointer to it is a pointer to the whole */
    uint32_t opaque;
    int refused;
};

/* Errors carry no opaque, but there is one request only that they can answer. */
static int take_owed(struct exchange *exchange, const struct larder_meta_reply *reply, void **sink,
                     size_t *sink_size)
{
    struct settling *settling = (struct settling *)(void *)exchange;
    char text[OPAQUE_BYTES];
    struct larder_slice opaque = meta_format_opaque(settling->opaque, text);
    (void)sink;
    (void)sink_size;
    settling->refused = reply->cause != LARDER_META_NO_ERROR || reply->code == LARDER_META_NS;
    if (reply->cause != LARDER_META_NO_ERROR)
        return 1;
    return !larder_meta_has_value(reply) && reply->opaque.length == opaque.length &&
           memcmp(reply->opaque.data, opaque.data, opaque.length) == 0;
}

static void conclude(struct call *call, const struct line *line, enum connection_step step,
                     const struct exchange *exchange)
{
    struct outcome outcome;
    meta_outcome_take(call, line, step, exchange, &outcome);
    meta_outcome_trace(call, line->site, &outcome);
}

/* @return 0 when the reply did not come as it must: the connection is good for nothing */
static int line_settle(struct call *call, struct line *line)
{
    struct connection *connection = &line->member->connection;
    struct settling settling = {.opaque = connection->opaque};
    exchange_init(&settling.exchange, take_owed, 1, NULL, 0);
    connection->owed = 0;
    enum connection_step step = meta_connection_run(connection, &settling.exchange, call->now_ns,
                                                    LARDER_NEVER_NS, call->deadline_ns);
    call->now_ns = larder_monotonic_ns();
    if (step != STEP_OVER || settling.refused)
        META_COUNT(call->meta, quiet_lost);
    if (step != STEP_OVER)
        conclude(call, line, step, &settling.exchange);
    return step == STEP_OVER;
}

/* A prober dials, and is not to report before he has asked. */
static int line_is_usable(struct call *call, struct line *line)
{
    if (line->ticket == 0 && line->member->connection.owed && !line_settle(call, line))
        return 0;
    return !is_stale(call, line);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static enum larder_status line_dial(struct call *call, struct line *line)
{
    const struct exchange nothing = {.due = 1};
    line->connect_ns = larder_deadline_after(line->began_ns, call->meta->connect_timeout_ms);
    enum connection_step step = dial_in_time(call, line);
    call->now_ns = larder_monotonic_ns();
    if (step == STEP_OVER || step == STEP_WAIT)
        return LARDER_OK;
    meta_line_close(call, line, step, &nothing);
    return meta_step_failure(line->site, step, &nothing, 1);
}

static enum larder_status line_connect(struct call *call, struct line *line)
{
    struct member *member = line->member;
    line->began_ns = call->now_ns;
    line->granted_ns = call->deadline_ns - call->now_ns;
    line->connect_ns = LARDER_NEVER_NS;
    if (member->connection.descriptor >= 0 && !line_is_usable(call, line)) {
        meta_site_hang_up(line->site, member);
        SITE_COUNT(line->site, connections_replaced);
    }
    line->fresh = !member->connection.used;
    return member->connection.descriptor >= 0 ? LARDER_OK : line_dial(call, line);
}

/* A member that has to dial anew goes behind those that have not. */
static void give_back(struct line *line)
{
    if (line->member->connection.descriptor >= 0)
        larder_pool_release(line->site->pool, line->member, 0);
    else
        larder_pool_release_last(line->site->pool, line->member);
    line->member = NULL;
}

enum larder_status meta_line_open(struct call *call, struct site *site, int wait, struct line *line)
{
    *line = (struct line){.site = site};
    enum larder_status status = line_ask(call, line);
    if (status != LARDER_OK)
        return status;
    status = line_acquire(call, line, wait);
    if (status == LARDER_OK && call->now_ns >= call->deadline_ns) {
        give_back(line);
        status = LARDER_TIMEOUT;
    }
    if (status != LARDER_OK) { /* nobody spoke to the server */
        larder_markdown_abandon(&site->markdown, line->ticket, call->now_ns);
        return status;
    }
    return line_connect(call, line);
}

static int is_refusal(enum connection_step step, const struct exchange *exchange)
{
    return step == STEP_CLOSED ||
           (step == STEP_BROKEN && exchange->cause == LARDER_META_TOO_MANY_CONNECTIONS);
}

void meta_line_close(struct call *call, struct line *line, enum connection_step step,
                     const struct exchange *exchange)
{
    struct connection *connection = &line->member->connection;
    struct outcome outcome;
    call->now_ns = larder_monotonic_ns();
    meta_outcome_take(call, line, step, exchange, &outcome);
    if (step == STEP_OVER) {
        connection->used = 1;
        connection->idle_ns = call->now_ns;
    } else {
        meta_site_hang_up(line->site, line->member);
    }
    give_back(line);
    meta_outcome_trace(call, line->site, &outcome);
}

int meta_line_may_repeat(const struct call *call, const struct line *line,
                         enum connection_step step, const struct exchange *exchange, int is_read)
{
    return step == STEP_CLOSED && !line->fresh && exchange->heard == 0 && !exchange->partial &&
           (is_read || exchange->sent == 0) && larder_deadline_left_ms(call->deadline_ns) > 0;
}

enum larder_status meta_step_failure(struct site *site, enum connection_step step,
                                     const struct exchange *exchange, int is_read)
{
    /* said before a request is read */
    int unheard = exchange->heard == 0 && (exchange->cause == LARDER_META_TOO_MANY_CONNECTIONS ||
                                           exchange->cause == LARDER_META_UNAUTHENTICATED);
    if (!is_read && exchange->sent > 0 && !unheard)
        return LARDER_UNKNOWN;
    if (meta_site_is_shut(site))
        return LARDER_CLOSED;
    if (is_refusal(step, exchange))
        return LARDER_UNAVAILABLE;
    if (step == STEP_MEMORY)
        return LARDER_NO_MEMORY;
    return step == STEP_TIMEOUT ? LARDER_TIMEOUT : LARDER_PROTOCOL;
}

/* ---- questions ----------------------------------------------------------------------------- */

struct larder_slice meta_format_opaque(uint32_t number, char text[OPAQUE_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;
    for (unsigned shift = (31 - (unsigned)__builtin_clz(number | 1)) & ~3u;; shift -= 4) {
        text[length++] = digits[number >> shift & 15];
        if (shift == 0)
            return larder_bytes(text, length);
    }
}

struct larder_slice meta_next_opaque(struct connection *connection, char text[OPAQUE_BYTES])
{
    return meta_format_opaque(++connection->opaque, text);
}

static int take_reply(struct exchange *exchange, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct question *question = (struct question *)(void *)exchange;
    if (question->text == NULL && !meta_is_of_use(&question->request, reply))
        return 0;
    return question->answer(question, reply, sink, sink_size);
}

#define QUESTION_BYTES (LARDER_META_REQUEST_BYTES_MAX + COPIED_BYTES + LARDER_META_LINE_END_BYTES)

/* Behind the line of a store. @return how many vectors */
static size_t add_value(struct larder_slice value, char *line, struct iovec vectors[3])
{
    static const char end[] = LARDER_META_LINE_END;
    size_t length = vectors[0].iov_len;
    if (value.length > COPIED_BYTES) {
        vectors[1] = (struct iovec){(void *)(uintptr_t)value.data, value.length};
        vectors[2] = (struct iovec){(void *)(uintptr_t)end, LARDER_META_LINE_END_BYTES};
        return 3;
    }
    if (value.length > 0)
        memcpy(line + length, value.data, value.length);
    memcpy(line + length + value.length, end, LARDER_META_LINE_END_BYTES);
    vectors[0].iov_len += value.length + LARDER_META_LINE_END_BYTES;
    return 1;
}

/* @return how many vectors */
static size_t write_question(struct question *question, struct connection *connection,
                             char line[QUESTION_BYTES], struct iovec vectors[3])
{
    struct larder_meta_output output = {line, LARDER_META_REQUEST_BYTES_MAX, 0};
    if (question->text != NULL) {
        vectors[0] = (struct iovec){(void *)(uintptr_t)question->text, strlen(question->text)};
        return 1;
    }
    if (question->request.command != LARDER_META_NOOP) {
        question->request.flags |= LARDER_META_FLAG_OPAQUE;
        question->request.opaque = meta_next_opaque(connection, question->opaque);
    }
    if (larder_meta_write(&output, &question->request) != LARDER_OK)
        return 0; /* the key codec and the fields' types leave nothing to refuse */
    vectors[0] = (struct iovec){line, output.length};
    if (question->request.command != LARDER_META_STORE)
        return 1;
    return add_value(question->value, line, vectors);
}

static enum connection_step run_question(struct call *call, struct line *line,
                                         struct question *question)
{
    char bytes[QUESTION_BYTES];
    struct iovec vectors[3];
    struct connection *connection = &line->member->connection;
    uint32_t due = question->is_list ? EXCHANGE_OPEN : !question->quiet;
    size_t count = write_question(question, connection, bytes, vectors);
    exchange_init(&question->exchange, take_reply, due, vectors, count);
    question->exchange.request = question->text == NULL ? &question->request : NULL;
    if (count == 0)
        return STEP_BROKEN;
    enum connection_step step = meta_connection_run(connection, &question->exchange, call->now_ns,
                                                    line->connect_ns, call->deadline_ns);
    question->exchange.unsent = NULL; /* it was on this stack */
    if (question->quiet && step == STEP_OVER) {
        connection->owed = 1;
        question->status = LARDER_OK;
    }
    return step;
}

static int take_noop(struct question *question, const struct larder_meta_reply *reply, void **sink,
                     size_t *sink_size)
{
    (void)question;
    (void)sink;
    (void)sink_size;
    return reply->code == LARDER_META_MN;
}

/* A server that was down is asked for a sign of life before it is given a write to lose. */
static enum connection_step line_probe(struct call *call, struct line *line)
{
    struct question noop = {.request = {.command = LARDER_META_NOOP}, .answer = take_noop};
    enum connection_step step = run_question(call, line, &noop);
    call->now_ns = larder_monotonic_ns();
    return step;
}

__attribute__((flatten)) enum larder_status meta_ask(struct call *call, struct site *site,
                                                     struct question *question)
{
    for (;;) {
        struct line line;
        enum larder_status status = meta_line_open(call, site, 1, &line);
        if (status != LARDER_OK)
            return status;
        enum connection_step step = STEP_OVER;
        if (line.ticket != 0 && !question->is_read) {
            exchange_init(&question->exchange, take_reply, 1, NULL, 0); /* nothing of it is sent */
            step = line_probe(call, &line);
        }
        if (step == STEP_OVER)
            step = run_question(call, &line, question);
        meta_line_close(call, &line, step, &question->exchange);
        if (step == STEP_OVER)
            return question->status;
        if (!meta_line_may_repeat(call, &line, step, &question->exchange, question->is_read))
            return meta_step_failure(site, step, &question->exchange, question->is_read);
        SITE_COUNT(site, calls_repeated);
    }
}
