/*
 * Many keys at once. Rows are gathered by server, every server is sent all of its requests, and the
 * replies of all are read as they come: in the order of the requests, each with the opaque of its
 * own. No member is held while another is waited for: servers whose pool is empty get their turn
 * afterwards, one by one.
 */
#include "meta.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>

/* Rows that are worked on at a time: what bounds the memory of one call. */
#define BATCH_ROWS 4096u
/* Of a request beside its key: flags, numbers, line ends. */
#define REQUEST_BYTES 128u
/* Keys and bytes of one classic line: the server works on a line in one go. */
#define LINE_KEYS 1000u
#define LINE_BYTES 60000u
/* Requests, one behind the other, until they are so many bytes are one vector. TLS sends what is
 * whole in it as one record. */
#define VECTOR_BYTES 14000u
/* What came before and the request line, a long value, its line end. */
#define VECTORS_PER_ROW 3u

/* A row that is to be answered. */
struct want {
    struct larder_row *row;
    const char *key; /* wire form: the row's own bytes, or of the batch's encoded ones */
    uint32_t length;
    uint32_t site;
    struct amends amends;
};

enum group_state {
    GROUP_ASKING,  /* something is to be sent yet */
    GROUP_RUNNING, /* it has its line */
    GROUP_DONE
};

/* What goes to one server. */
struct group {
    struct exchange exchange; /* first: a pointer to it is a pointer to the whole */
    struct batch *batch;
    struct site *site;
    struct want **wants; /* of the batch's, neighbours */
    size_t count;
    size_t next;                        /* the want whose reply comes next */
    size_t line_start, line_end;        /* classic: the line that is being answered */
    uint32_t opaque;                    /* of the first request */
    struct larder_meta_request request; /* unless classic: of the next want */
    char opaque_text[OPAQUE_BYTES];     /* its opaque */
    struct line line;
    enum group_state state;
    struct iovec *vectors;
};

struct batch {
    struct call *call;
    enum larder_many_kind many;
    enum larder_mode mode;
    int64_t touch_ttl_ms;
    int classic;      /* reads go out as "get" or "gets" lines */
    int want_version; /* of some row */
    struct want *wants;
    size_t want_count;
    struct want **order; /* by server, else as the rows are */
    char *encoded;
    size_t encoded_used;
    char *requests;
    size_t requests_size;
    size_t requests_used;
    struct iovec *vectors;
    struct group *groups;
    size_t group_count;
};

static int is_read(const struct batch *batch)
{
    return batch->many == LARDER_MANY_READ || batch->many == LARDER_MANY_GET;
}

/* ---- collecting ---------------------------------------------------------------------------- */

static enum larder_status check_row(struct batch *batch, const struct target *target,
                                    const struct larder_row *row)
{
    if (batch->many != LARDER_MANY_STORE)
        return LARDER_OK;
    return meta_limit_check(batch->call, target->site, target->wire.bytes, row->write.value.length,
                            row->write.flags);
}

static enum larder_status want_row(struct batch *batch, struct larder_row *row)
{
    struct target target;
    struct want *want = &batch->wants[batch->want_count];
    enum larder_status status = meta_call_target(batch->call, row->key, &target);
    if (status == LARDER_OK)
        status = check_row(batch, &target, row);
    if (status != LARDER_OK)
        return status;
    struct larder_slice wire = target.wire.bytes;
    *want = (struct want){.row = row, .key = wire.data, .length = (uint32_t)wire.length};
    want->site = target.number;
    if (wire.data == target.wire.buffer) {
        memcpy(batch->encoded + batch->encoded_used, wire.data, wire.length);
        want->key = batch->encoded + batch->encoded_used;
        batch->encoded_used += wire.length;
    }
    batch->want_count++;
    batch->want_version |= (row->value.info.want & LARDER_WANT_VERSION) != 0;
    batch->classic &= (row->value.info.want & (LARDER_WANT_TTL | LARDER_WANT_ACCESS)) == 0;
    return LARDER_OK;
}

static void collect(struct batch *batch, const struct larder_rows *rows, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        enum larder_status status = row->status == LARDER_ASKED ? want_row(batch, row) : LARDER_OK;
        if (status != LARDER_OK)
            row->status = status;
    }
}

/* Gathers the wants by server, in the order of the rows. */
static void arrange(struct batch *batch)
{
    size_t at = 0;
    for (size_t i = 0; i < batch->want_count; i++)
        batch->groups[batch->wants[i].site].count++;
    for (size_t i = 0; i < batch->group_count; i++) {
        struct group *group = &batch->groups[i];
        group->batch = batch;
        group->site = batch->call->meta->sites[i];
        group->wants = batch->order + at;
        group->vectors = batch->vectors + VECTORS_PER_ROW * at + i;
        group->state = group->count > 0 ? GROUP_ASKING : GROUP_DONE;
        at += group->count;
        group->count = 0;
    }
    for (size_t i = 0; i < batch->want_count; i++) {
        struct group *group = &batch->groups[batch->wants[i].site];
        group->wants[group->count++] = &batch->wants[i];
    }
}

/* ---- requests ------------------------------------------------------------------------------ */

static struct delivery delivery_of(const struct batch *batch, struct larder_row *row)
{
    if (batch->many == LARDER_MANY_GET)
        return (struct delivery){NULL, &row->value, NULL, 0, batch->touch_ttl_ms};
    return (struct delivery){&row->value.info, NULL, row->buffer, row->size, batch->touch_ttl_ms};
}

/* The request of a want; its opaque lies in `opaque`. */
static void request_of(const struct group *group, size_t index, struct larder_meta_request *request,
                       char opaque[OPAQUE_BYTES])
{
    const struct batch *batch = group->batch;
    const struct want *want = group->wants[index];
    struct larder_slice wire = larder_bytes(want->key, want->length);
    const struct delivery delivery = delivery_of(batch, want->row);
    if (is_read(batch))
        meta_read_request(request, wire, &delivery);
    else if (batch->many == LARDER_MANY_STORE)
        meta_store_request(request, batch->mode, wire, &want->row->write);
    else if (batch->many == LARDER_MANY_DELETE)
        meta_remove_request(batch->call->meta, request, wire, want->row->write.version);
    else
        meta_touch_request(request, wire, want->row->write.ttl_ms);
    request->flags |= LARDER_META_FLAG_OPAQUE;
    request->opaque = meta_format_opaque(group->opaque + (uint32_t)index, opaque);
}

static void append_bytes(struct batch *batch, const void *bytes, size_t length)
{
    memcpy(batch->requests + batch->requests_used, bytes, length);
    batch->requests_used += length;
}

/* Everything from `from` on, up to here, becomes a vector. */
static size_t end_vector(const struct batch *batch, struct group *group, size_t from)
{
    if (batch->requests_used > from)
        group->vectors[group->exchange.unsent_count++] =
            (struct iovec){batch->requests + from, batch->requests_used - from};
    return batch->requests_used;
}

static int write_request(struct batch *batch, struct group *group, size_t index, size_t *from)
{
    struct larder_meta_request request;
    char opaque[OPAQUE_BYTES];
    struct larder_meta_output output = {batch->requests + batch->requests_used,
                                        batch->requests_size - batch->requests_used, 0};
    struct larder_slice value = group->wants[index]->row->write.value;
    request_of(group, index, &request, opaque);
    if (larder_meta_write(&output, &request) != LARDER_OK)
        return 0; /* the key codec and the fields' types leave nothing to refuse */
    batch->requests_used += output.length;
    if (batch->many != LARDER_MANY_STORE)
        return 1;
    if (value.length > COPIED_BYTES) {
        *from = end_vector(batch, group, *from);
        group->vectors[group->exchange.unsent_count++] =
            (struct iovec){(void *)(uintptr_t)value.data, value.length};
    } else if (value.length > 0) {
        append_bytes(batch, value.data, value.length);
    }
    append_bytes(batch, LARDER_META_LINE_END, LARDER_META_LINE_END_BYTES);
    if (value.length > COPIED_BYTES)
        *from = end_vector(batch, group, *from);
    return 1;
}

/* Where the classic line that begins with the want `from` ends. */
static size_t line_end(const struct group *group, size_t from)
{
    size_t bytes = 0, end = from;
    while (end < group->count && end - from < LINE_KEYS && bytes < LINE_BYTES)
        bytes += group->wants[end++]->length + 1;
    return end;
}

static int write_line(struct batch *batch, const struct group *group, size_t from, size_t end)
{
    struct larder_meta_output output = {batch->requests + batch->requests_used,
                                        batch->requests_size - batch->requests_used, 0};
    enum larder_status status = larder_meta_write_get(&output, batch->want_version);
    for (; from < end && status == LARDER_OK; from++)
        status = larder_meta_write_get_key(
            &output, larder_bytes(group->wants[from]->key, group->wants[from]->length));
    if (status == LARDER_OK)
        status = larder_meta_write_end(&output);
    batch->requests_used += output.length;
    return status == LARDER_OK;
}

static int write_lines(struct batch *batch, struct group *group)
{
    size_t first = batch->requests_used;
    for (size_t from = 0; from < group->count; from = line_end(group, from))
        if (!write_line(batch, group, from, line_end(group, from)))
            return 0;
    end_vector(batch, group, first);
    group->exchange.due = EXCHANGE_OPEN;
    group->line_start = 0;
    group->line_end = line_end(group, 0);
    return 1;
}

static int write_requests(struct batch *batch, struct group *group)
{
    size_t from = batch->requests_used;
    if (batch->classic)
        return write_lines(batch, group);
    for (size_t i = 0; i < group->count; i++) {
        if (!write_request(batch, group, i, &from))
            return 0;
        if (batch->requests_used - from > VECTOR_BYTES)
            from = end_vector(batch, group, from);
    }
    end_vector(batch, group, from);
    return 1;
}

/* ---- replies ------------------------------------------------------------------------------- */

/* Only behind a line's proper end is a key without a value a miss. */
static void end_line(struct group *group)
{
    for (size_t i = group->line_start; i < group->line_end; i++)
        if (group->wants[i]->row->status == LARDER_ASKED)
            group->wants[i]->row->status = LARDER_MISS;
    group->next = group->line_start = group->line_end;
    group->line_end = line_end(group, group->next);
    if (group->next == group->count)
        group->exchange.due = 1;
}

static int is_key_of(const struct want *want, struct larder_slice key)
{
    return want->length == key.length && memcmp(want->key, key.data, key.length) == 0;
}

/* Hits come in the order of the keys, and as often as a key was named. */
static int take_classic(struct group *group, const struct larder_meta_reply *reply, void **sink,
                        size_t *sink_size)
{
    const struct batch *batch = group->batch;
    size_t found = group->next;
    if (reply->code == LARDER_META_CLASSIC_END) {
        end_line(group);
        return 1;
    }
    int versioned = (reply->present & LARDER_META_FLAG_RETURN_VERSION) != 0;
    if (reply->code != LARDER_META_CLASSIC_VALUE || versioned != batch->want_version)
        return 0;
    while (found < group->line_end && !is_key_of(group->wants[found], reply->key))
        found++;
    if (found == group->line_end)
        return 0;
    group->next = found + 1;
    struct larder_row *row = group->wants[found]->row;
    const struct delivery delivery = delivery_of(batch, row);
    row->status = meta_deliver(&delivery, reply, sink, sink_size);
    return 1;
}

/* Nothing more is due behind the last one. */
static void expect_next(struct group *group)
{
    if (group->next < group->count)
        request_of(group, group->next, &group->request, group->opaque_text);
}

static int take_meta(struct group *group, const struct larder_meta_reply *reply, void **sink,
                     size_t *sink_size)
{
    const struct batch *batch = group->batch;
    struct want *want = group->wants[group->next];
    if (!meta_is_of_use(&group->request, reply))
        return 0;
    if (group->request.command == LARDER_META_GET && batch->many != LARDER_MANY_DELETE)
        want->amends = meta_amends_of(&group->request, reply);
    group->next++;
    expect_next(group);
    if (is_read(batch)) {
        const struct delivery delivery = delivery_of(batch, want->row);
        want->row->status = meta_deliver(&delivery, reply, sink, sink_size);
        return 1;
    }
    if (batch->many == LARDER_MANY_DELETE)
        return meta_remove_answer(reply, &want->row->status);
    if (batch->many == LARDER_MANY_TOUCH) {
        want->row->status = meta_touch_answer(reply);
        return 1;
    }
    if (reply->code == LARDER_META_HD)
        want->row->value.info.version = reply->version;
    return meta_store_answer(batch->mode, reply, &want->row->status);
}

static int take_reply(struct exchange *exchange, const struct larder_meta_reply *reply, void **sink,
                      size_t *sink_size)
{
    struct group *group = (struct group *)(void *)exchange;
    return group->batch->classic ? take_classic(group, reply, sink, sink_size)
                                 : take_meta(group, reply, sink, sink_size);
}

/* ---- groups -------------------------------------------------------------------------------- */

/* What was told of a row is kept, unless its value was cut, or classic lines, which have no opaque,
 * went wrong at all. */
static int keeps_answer(const struct group *group, size_t index, enum connection_step step)
{
    if (group->wants[index]->row->status == LARDER_ASKED ||
        (exchange_in_value(&group->exchange) && index + 1 == group->next))
        return 0;
    return !group->batch->classic || step != STEP_BROKEN;
}

static void group_fail(struct group *group, enum connection_step step, enum larder_status status)
{
    for (size_t i = 0; i < group->count; i++) {
        struct larder_row *row = group->wants[i]->row;
        const struct delivery delivery = delivery_of(group->batch, row);
        if (keeps_answer(group, i, step))
            continue;
        if (is_read(group->batch))
            meta_undeliver(&delivery);
        group->wants[i]->amends = (struct amends){0};
        row->status = status;
    }
    group->state = GROUP_DONE;
}

/* Nothing was heard: all is asked again on another connection. */
static void group_repeat(struct group *group)
{
    SITE_COUNT(group->site, calls_repeated);
    group->state = GROUP_ASKING;
}

static void group_end(struct batch *batch, struct group *group, enum connection_step step)
{
    int is_harmless = is_read(batch) && batch->touch_ttl_ms == LARDER_TTL_UNKNOWN;
    int repeatable =
        meta_line_may_repeat(batch->call, &group->line, step, &group->exchange, is_harmless);
    meta_line_close(batch->call, &group->line, step, &group->exchange);
    if (step == STEP_OVER)
        group->state = GROUP_DONE;
    else if (repeatable)
        group_repeat(group);
    else
        group_fail(group, step,
                   meta_step_failure(group->line.site, step, &group->exchange, is_harmless));
}

/* @param wait  0: a server whose pool is empty stays ASKING */
static void group_begin(struct batch *batch, struct group *group, int wait)
{
    exchange_init(&group->exchange, take_reply, (uint32_t)group->count, group->vectors, 0);
    group->next = 0;
    enum larder_status status = meta_line_open(batch->call, group->site, wait, &group->line);
    if (status == LARDER_WOULD_BLOCK)
        return;
    if (status != LARDER_OK) {
        group_fail(group, STEP_CLOSED, status);
        return;
    }
    struct connection *connection = &group->line.member->connection;
    group->opaque = connection->opaque + 1;
    connection->opaque += (uint32_t)group->count;
    group->state = GROUP_RUNNING;
    if (!write_requests(batch, group)) {
        group_end(batch, group, STEP_BROKEN);
        return;
    }
    if (!batch->classic) {
        expect_next(group);
        group->exchange.request = &group->request;
    }
}

/* ---- running ------------------------------------------------------------------------------- */

/* Until when this group may wait. */
static uint64_t group_until(const struct batch *batch, const struct group *group)
{
    uint64_t deadline_ns = batch->call->deadline_ns;
    int connecting = group->line.member->connection.connecting != STAGE_READY;
    return connecting && group->line.connect_ns < deadline_ns ? group->line.connect_ns
                                                              : deadline_ns;
}

/* Steps each group. @return how many wait; *until_ns is when the first of them gives up */
static nfds_t step_groups(struct batch *batch, struct pollfd *polled, uint64_t *until_ns)
{
    nfds_t waiting = 0;
    *until_ns = batch->call->deadline_ns;
    for (size_t i = 0; i < batch->group_count; i++) {
        struct group *group = &batch->groups[i];
        short events;
        if (group->state != GROUP_RUNNING)
            continue;
        struct connection *connection = &group->line.member->connection;
        enum connection_step step = meta_connection_step(connection, &group->exchange, &events);
        if (step == STEP_WAIT && larder_deadline_left_ms(group_until(batch, group)) == 0)
            step = STEP_TIMEOUT;
        if (step != STEP_WAIT) {
            group_end(batch, group, step);
            continue;
        }
        if (group_until(batch, group) < *until_ns)
            *until_ns = group_until(batch, group);
        polled[waiting++] = (struct pollfd){.fd = connection->descriptor, .events = events};
    }
    return waiting;
}

static struct group *only_one_running(struct batch *batch)
{
    struct group *found = NULL;
    for (size_t i = 0; i < batch->group_count; i++) {
        if (batch->groups[i].state != GROUP_RUNNING)
            continue;
        if (found != NULL)
            return NULL;
        found = &batch->groups[i];
    }
    return found;
}

static void run_groups(struct batch *batch)
{
    struct pollfd polled[LARDER_SERVERS_MAX];
    uint64_t until_ns;
    struct group *only = only_one_running(batch);
    if (only != NULL) {
        group_end(batch, only,
                  meta_connection_run(&only->line.member->connection, &only->exchange,
                                      batch->call->now_ns, only->line.connect_ns,
                                      batch->call->deadline_ns));
        return;
    }
    for (;;) {
        nfds_t waiting = step_groups(batch, polled, &until_ns);
        if (waiting == 0)
            return;
        uint64_t left_ms = larder_deadline_left_ms(until_ns);
        (void)poll(polled, waiting, left_ms < 60000 ? (int)left_ms : 60000);
    }
}

/* @return 1 while something is to be asked */
static int run_batch(struct batch *batch)
{
    batch->requests_used = 0;
    for (size_t i = 0; i < batch->group_count; i++)
        if (batch->groups[i].state == GROUP_ASKING)
            group_begin(batch, &batch->groups[i], 0);
    run_groups(batch);
    for (size_t i = 0; i < batch->group_count; i++) {
        if (batch->groups[i].state != GROUP_ASKING)
            continue;
        batch->requests_used = 0;
        group_begin(batch, &batch->groups[i], 1);
        run_groups(batch);
        return 1;
    }
    return 0;
}

/* ---- a batch ------------------------------------------------------------------------------- */

static void batch_free(struct batch *batch)
{
    free(batch->wants);
    free(batch->order);
    free(batch->encoded);
    free(batch->requests);
    free(batch->vectors);
    free(batch->groups);
}

static size_t requests_size(enum larder_many_kind many, const struct larder_rows *rows, size_t from,
                            size_t to)
{
    size_t size = LARDER_META_REQUEST_BYTES_MAX;
    for (size_t i = from; i < to; i++) {
        const struct larder_row *row = larder_row_at(rows, i);
        size_t key = row->key.length < LARDER_WIRE_KEY_BYTES_MAX ? 2 * row->key.length + 2
                                                                 : LARDER_WIRE_KEY_BYTES_MAX;
        size += REQUEST_BYTES + (key < LARDER_WIRE_KEY_BYTES_MAX ? key : LARDER_WIRE_KEY_BYTES_MAX);
        if (many == LARDER_MANY_STORE && row->write.value.length <= COPIED_BYTES)
            size += row->write.value.length;
    }
    return size;
}

static int batch_allocate(struct batch *batch, const struct larder_rows *rows, size_t from,
                          size_t to)
{
    size_t count = to - from;
    batch->group_count = batch->call->meta->site_count;
    batch->requests_size = requests_size(batch->many, rows, from, to);
    batch->wants = malloc(count * sizeof(*batch->wants));
    batch->order = malloc(count * sizeof(*batch->order));
    batch->encoded = malloc(count * LARDER_WIRE_KEY_BYTES_MAX);
    batch->requests = malloc(batch->requests_size);
    batch->vectors =
        malloc((VECTORS_PER_ROW * count + batch->group_count) * sizeof(*batch->vectors));
    batch->groups = calloc(batch->group_count, sizeof(*batch->groups));
    return batch->wants != NULL && batch->order != NULL && batch->encoded != NULL &&
           batch->requests != NULL && batch->vectors != NULL && batch->groups != NULL;
}

static void refuse_rows(const struct larder_rows *rows, size_t from, size_t to,
                        enum larder_status status)
{
    for (size_t i = from; i < to; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = status;
    }
}

/* What single operations do behind their answer. */
static void think_again(struct batch *batch)
{
    for (size_t i = 0; i < batch->want_count; i++) {
        struct want *want = &batch->wants[i];
        struct larder_row *row = want->row;
        struct target target = {.site = batch->call->meta->sites[want->site]};
        target.wire.bytes = larder_bytes(want->key, want->length);
        meta_make_amends(batch->call, &target, &want->amends);
        if (batch->many == LARDER_MANY_STORE)
            row->status = meta_store_afterthought(batch->call, batch->mode, &target, &row->write,
                                                  &row->value.info.version, row->status);
        else if (batch->many == LARDER_MANY_DELETE)
            row->status = meta_remove_afterthought(batch->call, &target, row->status);
    }
}

static void do_batch(struct call *call, enum larder_many_kind many, enum larder_mode mode,
                     const struct larder_rows *rows, size_t from, size_t to)
{
    struct batch batch = {.call = call,
                          .many = many,
                          .mode = mode,
                          .touch_ttl_ms = call->scope->call != NULL
                                              ? call->scope->call->touch_ttl_ms
                                              : LARDER_TTL_UNKNOWN};
    batch.classic =
        call->meta->classic && is_read(&batch) && batch.touch_ttl_ms == LARDER_TTL_UNKNOWN;
    if (batch_allocate(&batch, rows, from, to)) {
        collect(&batch, rows, from, to);
        arrange(&batch);
        while (run_batch(&batch))
            continue;
        think_again(&batch);
    } else {
        refuse_rows(rows, from, to, LARDER_NO_MEMORY);
    }
    batch_free(&batch);
}

/* What begins with a look is done row by row. */
static enum larder_status do_row(struct call *call, enum larder_many_kind many,
                                 enum larder_mode mode, struct larder_row *row)
{
    struct target target;
    enum larder_status status = meta_call_target(call, row->key, &target);
    if (status != LARDER_OK)
        return status;
    if (many == LARDER_MANY_DELETE)
        return meta_call_remove(call, &target, row->write.version);
    return meta_call_store(call, mode, &target, &row->write, &row->value.info.version);
}

static void do_rows(struct call *call, enum larder_many_kind many, enum larder_mode mode,
                    const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = do_row(call, many, mode, row);
    }
}

static int looks(const struct meta *meta, enum larder_many_kind many, enum larder_mode mode)
{
    return (many == LARDER_MANY_STORE && meta_store_looks(meta, mode)) ||
           (many == LARDER_MANY_DELETE && meta_remove_looks(meta));
}

void meta_many(const struct larder_scope *scope, enum larder_many_kind many, enum larder_mode mode,
               const struct larder_rows *rows)
{
    struct call call;
    enum larder_status status = meta_call_begin(&call, scope);
    if (status != LARDER_OK) {
        refuse_rows(rows, 0, rows->count, status);
        return;
    }
    if (looks(call.meta, many, mode)) {
        do_rows(&call, many, mode, rows);
        return;
    }
    for (size_t from = 0; from < rows->count; from += BATCH_ROWS) {
        size_t left = rows->count - from;
        do_batch(&call, many, mode, rows, from, from + (left < BATCH_ROWS ? left : BATCH_ROWS));
    }
}
