/* One exchange with one server: mark-down, member, connection, question, verdict. */
#include "meta.h"

#include <string.h>
#include <time.h>

#include <larder/util/deadline.h>

/* A connection that was idle for longer is looked at before it is used. */
#define IDLE_TRUSTED_NS UINT64_C(100000000)

/* ---- the call ------------------------------------------------------------------------------ */

enum larder_status meta_call_begin(struct call *call, const struct larder_scope *scope)
{
    struct meta *meta = scope->self;
    *call = (struct call){.meta = meta, .scope = scope};
    if (atomic_load_explicit(&meta->shut, memory_order_relaxed))
        return LARDER_CLOSED;
    if (larder_scope_no_wait(scope))
        return LARDER_WOULD_BLOCK;
    call->deadline_ns = larder_scope_deadline(scope, meta->timeout_ms);
    return LARDER_OK;
}

uint32_t meta_place(const struct meta *meta, const struct larder_scope *scope,
                    struct larder_slice key, struct larder_slice wire)
{
    if (scope->server != 0)
        return scope->server - 1;
    if (meta->site_count == 1)
        return 0;
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
    target->number = meta_place(call->meta, scope, key, target->wire.bytes);
    target->site = call->meta->sites[target->number];
    return LARDER_OK;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* @return UNAVAILABLE when the site is down and it is somebody else's turn to probe, CLOSED when
 * the cache was shut down as well */
static enum larder_status line_ask(struct call *call, struct line *line)
{
    struct larder_markdown *markdown = &line->site->markdown;
    if (larder_markdown_is_up(markdown) ||
        larder_markdown_ask(markdown, larder_monotonic_ns(), &line->ticket) != LARDER_MARKDOWN_DOWN)
        return LARDER_OK;
    if (meta_site_is_shut(line->site))
        return LARDER_CLOSED;
    META_COUNT(call->meta, refused_down);
    return LARDER_UNAVAILABLE;
}

static enum larder_status line_acquire(struct call *call, struct line *line, int wait)
{
    void *object = NULL;
    enum larder_status status =
        larder_pool_acquire_until(line->site->pool, wait ? call->deadline_ns : 0, &object);
    line->member = object;
    return status;
}

/* A prober always dials: then a failed probe has written nothing. */
static int is_stale(const struct line *line, uint64_t now_ns)
{
    const struct member *member = line->member;
    return line->ticket != 0 ||
           member->epoch != atomic_load_explicit(&line->site->epoch, memory_order_relaxed) ||
           (now_ns - member->connection.idle_ns > IDLE_TRUSTED_NS &&
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
        uint64_t now_ns = larder_monotonic_ns();
        if (now_ns >= line->connect_ns || now_ns >= call->deadline_ns)
            return STEP_TIMEOUT;
        nanosleep(&moment, NULL);
    }
}

static enum larder_status line_connect(struct call *call, struct line *line, uint64_t now_ns)
{
    const struct exchange nothing = {.due = 1};
    struct member *member = line->member;
    if (member->connection.descriptor >= 0 && is_stale(line, now_ns)) {
        meta_site_hang_up(line->site, member);
        META_COUNT(call->meta, connections_replaced);
    }
    line->fresh = !member->connection.used;
    line->connect_ns = LARDER_NEVER_NS;
    if (member->connection.descriptor >= 0)
        return LARDER_OK;
    line->connect_ns = larder_deadline_after(now_ns, call->meta->connect_timeout_ms);
    enum connection_step step = dial_in_time(call, line);
    if (step == STEP_OVER || step == STEP_WAIT)
        return LARDER_OK;
    META_COUNT(call->meta, dials_failed);
    meta_line_close(call, line, step, &nothing);
    return meta_step_failure(line->site, step, &nothing, 1);
}

enum larder_status meta_line_open(struct call *call, struct site *site, int wait, struct line *line)
{
    *line = (struct line){.site = site};
    enum larder_status status = line_ask(call, line);
    if (status != LARDER_OK)
        return status;
    status = line_acquire(call, line, wait);
    uint64_t now_ns = larder_monotonic_ns();
    if (status == LARDER_OK && now_ns >= call->deadline_ns) {
        larder_pool_release(site->pool, line->member, 0);
        status = LARDER_TIMEOUT;
    }
    if (status != LARDER_OK) { /* nobody spoke to the server */
        larder_markdown_abandon(&site->markdown, line->ticket, now_ns);
        return status;
    }
    line->granted_ms = (call->deadline_ns - now_ns) / 1000000;
    return line_connect(call, line, now_ns);
}

/* A call that had little time left for the server, as after a wait for the pool, proves nothing. */
static int had_time(const struct call *call, const struct line *line)
{
    return line->granted_ms >= call->meta->timeout_ms / 2;
}

static int is_refusal(enum connection_step step, const struct exchange *exchange)
{
    return step == STEP_CLOSED ||
           (step == STEP_BROKEN && exchange->cause == LARDER_META_TOO_MANY_CONNECTIONS);
}

static void report(const struct call *call, const struct line *line, enum connection_step step,
                   const struct exchange *exchange)
{
    struct site *site = line->site;
    uint64_t now_ns = larder_monotonic_ns();
    int marked = 0, refused = is_refusal(step, exchange);
    if (refused && line->fresh)
        marked = larder_markdown_failure(&site->markdown, line->ticket, now_ns);
    else if (step != STEP_MEMORY && !refused && had_time(call, line))
        marked = larder_markdown_timeout(&site->markdown, line->ticket, now_ns);
    else
        larder_markdown_abandon(&site->markdown, line->ticket, now_ns);
    /* A connection that was idle may have been closed by a restart or an idle timeout: no sign that
     * the server is down now, but every other idle connection is in doubt. */
    if (marked || refused)
        meta_site_renew(site);
}

static void count_step(struct meta *meta, enum connection_step step)
{
    if (step == STEP_TIMEOUT)
        META_COUNT(meta, timeouts);
    else if (step == STEP_CLOSED)
        META_COUNT(meta, closed);
    else if (step == STEP_BROKEN)
        META_COUNT(meta, protocol_errors);
}

void meta_line_close(struct call *call, struct line *line, enum connection_step step,
                     const struct exchange *exchange)
{
    struct connection *connection = &line->member->connection;
    if (step == STEP_OVER) {
        connection->used = 1;
        connection->idle_ns = larder_monotonic_ns();
        larder_markdown_success(&line->site->markdown, line->ticket);
    } else {
        meta_site_hang_up(line->site, line->member);
        count_step(call->meta, step);
        report(call, line, step, exchange);
    }
    larder_pool_release(line->site->pool, line->member, 0); /* it dials anew when it is next used */
    line->member = NULL;
}

int meta_line_may_repeat(const struct call *call, const struct line *line,
                         enum connection_step step, const struct exchange *exchange)
{
    return step == STEP_CLOSED && !line->fresh && exchange->heard == 0 && !exchange->partial &&
           larder_deadline_left_ms(call->deadline_ns) > 0;
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
    unsigned shift = 28;
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (;; shift -= 4) {
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
    if (question->text == NULL && !larder_meta_fits(&question->request, reply))
        return 0;
    return question->answer(question, reply, sink, sink_size);
}

/* @return how many vectors */
static size_t write_question(struct question *question, struct connection *connection,
                             char line[LARDER_META_REQUEST_BYTES_MAX], struct iovec vectors[3])
{
    static const char end[] = LARDER_META_LINE_END;
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
    vectors[1] = (struct iovec){(void *)(uintptr_t)question->value.data, question->value.length};
    vectors[2] = (struct iovec){(void *)(uintptr_t)end, LARDER_META_LINE_END_BYTES};
    return 3;
}

static enum connection_step run_question(struct call *call, struct line *line,
                                         struct question *question)
{
    char bytes[LARDER_META_REQUEST_BYTES_MAX];
    struct iovec vectors[3];
    struct connection *connection = &line->member->connection;
    uint32_t due = question->exchange.due != 0 ? question->exchange.due : 1;
    question->exchange = (struct exchange){.reply = take_reply,
                                           .due = due,
                                           .unsent = vectors,
                                           .value_max = LARDER_META_VALUE_BYTES_MAX};
    question->exchange.unsent_count = write_question(question, connection, bytes, vectors);
    if (question->exchange.unsent_count == 0)
        return STEP_BROKEN;
    enum connection_step step =
        meta_connection_run(connection, &question->exchange, line->connect_ns, call->deadline_ns);
    question->exchange.unsent = NULL; /* it was on this stack */
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
    return run_question(call, line, &noop);
}

enum larder_status meta_ask(struct call *call, struct site *site, struct question *question)
{
    const uint32_t due = question->exchange.due;
    for (;;) {
        struct line line;
        enum larder_status status = meta_line_open(call, site, 1, &line);
        if (status != LARDER_OK)
            return status;
        enum connection_step step = STEP_OVER;
        question->exchange = (struct exchange){.due = due};
        if (line.ticket != 0 && !question->is_read)
            step = line_probe(call, &line);
        if (step == STEP_OVER)
            step = run_question(call, &line, question);
        meta_line_close(call, &line, step, &question->exchange);
        if (step == STEP_OVER)
            return question->status;
        if (!question->is_read || !meta_line_may_repeat(call, &line, step, &question->exchange))
            return meta_step_failure(site, step, &question->exchange, question->is_read);
        META_COUNT(call->meta, reads_repeated);
    }
}
