/*
 * Many keys at once. Reads: a table finds rows of the same key, which is sent once; the keys are
 * gathered by server; every server is sent its keys before the first answer is awaited; and only a
 * server that answered to the end makes a key without a value a MISS. Writes go one at a time.
 */
#include "edge.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/value.h>

/* Rows that are worked on at a time: what bounds the memory of one call. */
#define BATCH_ROWS 4096u
/* Keys and bytes of one request. So much fits a socket's buffer, so that sending never waits for a
 * server that itself waits until its answers are read. */
#define REQUEST_KEYS 1000u
#define REQUEST_BYTES 65536u
/* Of the binary protocol, before each key. */
#define REQUEST_HEADER_BYTES 24u

/* A row that asks for a key. */
struct want {
    struct larder_row *row;
    const char *key;   /* wire form: the row's own bytes, or of the batch's encoded ones */
    struct want *next; /* the next row of the same key */
    uint32_t hash;
    uint32_t site;
    uint32_t length;
    uint32_t encoded; /* 1 + offset in the encoded bytes; 0: plain. Only until all are there */
};

/* What goes to one server. */
struct group {
    uint32_t site;
    size_t next; /* the key to be sent next; keys of a group are neighbours */
    size_t end;
    size_t sent; /* up to here keys were sent and not answered for; == next: nothing is under way */
    size_t due;  /* the key whose reply comes next if there is one: servers answer in order */
    int heard;   /* a reply came to what is under way */
    struct line line;
};

struct batch {
    struct call *call;
    enum larder_many_kind many;
    int want_version;
    struct want *wants;
    size_t want_count;
    char *encoded;
    size_t encoded_size;
    size_t encoded_used;
    /* One entry per distinct key and server, in the order of the wants. */
    const char **keys;
    size_t *lengths;
    struct want **first;    /* of each key */
    struct want **distinct; /* in the order of the rows */
    uint32_t *table;        /* open addressing: 1 + a want; 0: free */
    size_t table_mask;
    size_t key_count;
    struct group *groups;
    size_t group_count;
};

/* ---- collecting ---------------------------------------------------------------------------- */

static int keep_encoded(struct batch *batch, struct want *want, struct larder_slice wire)
{
    size_t used = batch->encoded_used;
    if (used + wire.length > batch->encoded_size) {
        size_t size = 2 * batch->encoded_size + 64 * LARDER_WIRE_KEY_BYTES_MAX;
        char *larger = realloc(batch->encoded, size);
        if (larger == NULL)
            return 0;
        batch->encoded = larger;
        batch->encoded_size = size;
    }
    memcpy(batch->encoded + used, wire.data, wire.length);
    want->encoded = (uint32_t)used + 1;
    batch->encoded_used = used + wire.length;
    return 1;
}

/* Eight bytes at a time. It only has to be quick: keys that collide are told apart by their bytes.
 */
static uint32_t hash_of(struct larder_slice wire)
{
    const char *bytes = wire.data;
    uint64_t hash = wire.length, word = 0;
    size_t left = wire.length;
    for (; left >= sizeof(word); left -= sizeof(word), bytes += sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, bytes, left);
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

static enum larder_status want_row(struct batch *batch, struct larder_row *row)
{
    struct target target;
    struct want *want = &batch->wants[batch->want_count];
    enum larder_status status = call_target(batch->call, row->key, &target);
    if (status != LARDER_OK)
        return status;
    struct larder_slice wire = target.wire.bytes;
    *want =
        (struct want){row, wire.data, NULL, hash_of(wire), target.site, (uint32_t)wire.length, 0};
    if (wire.data == target.wire.buffer && !keep_encoded(batch, want, wire))
        return LARDER_NO_MEMORY;
    batch->want_count++;
    batch->want_version |= (row->value.info.want & LARDER_WANT_VERSION) != 0;
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
    /* The encoded bytes move no more. */
    for (size_t i = 0; i < batch->want_count; i++)
        if (batch->wants[i].encoded != 0)
            batch->wants[i].key = batch->encoded + batch->wants[i].encoded - 1;
}

static int same_key(const struct want *one, const struct want *other)
{
    return one->hash == other->hash && one->site == other->site && one->length == other->length &&
           memcmp(one->key, other->key, one->length) == 0;
}

/* @return 1 for the first row of its key; else it is hung behind that one */
static int is_first(struct batch *batch, struct want *want)
{
    for (size_t slot = want->hash;; slot++) {
        uint32_t *held = &batch->table[slot & batch->table_mask];
        if (*held == 0) {
            *held = (uint32_t)(want - batch->wants) + 1;
            return 1;
        }
        struct want *first = &batch->wants[*held - 1];
        if (same_key(first, want)) {
            want->next = first->next;
            first->next = want;
            return 0;
        }
    }
}

/* Finds the distinct keys, and counts those of each server. @return how many */
static size_t find_distinct(struct batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->want_count; i++)
        if (is_first(batch, &batch->wants[i])) {
            batch->distinct[count++] = &batch->wants[i];
            batch->groups[batch->wants[i].site].end++;
        }
    return count;
}

/* Gives each server its part of the keys, empty yet. */
static void lay_out_groups(struct batch *batch)
{
    size_t at = 0;
    for (size_t i = 0; i < batch->group_count; i++) {
        struct group *group = &batch->groups[i];
        size_t count = group->end;
        group->next = group->sent = group->due = group->end = at;
        at += count;
    }
}

/* Gathers the distinct keys by server, in the order of the rows. */
static void arrange(struct batch *batch)
{
    batch->group_count = batch->call->edge->site_count;
    for (size_t i = 0; i < batch->group_count; i++)
        batch->groups[i] = (struct group){.site = (uint32_t)i};
    batch->key_count = find_distinct(batch);
    lay_out_groups(batch);
    for (size_t i = 0; i < batch->key_count; i++) {
        struct want *want = batch->distinct[i];
        size_t key = batch->groups[want->site].end++;
        batch->keys[key] = want->key;
        batch->lengths[key] = want->length;
        batch->first[key] = want;
    }
}

/* ---- answering ----------------------------------------------------------------------------- */

/* Answers whoever asked for the keys from..to and has no answer yet. */
static void answer_keys(struct batch *batch, size_t from, size_t to, enum larder_status status)
{
    for (; from < to; from++)
        for (struct want *want = batch->first[from]; want != NULL; want = want->next)
            if (want->row->status == LARDER_ASKED)
                want->row->status = status;
}

static void group_end(struct batch *batch, struct group *group, enum larder_status status)
{
    answer_keys(batch, group->next, group->end, status);
    group->next = group->sent = group->end;
}

/* Only the last of several rows may take the bytes out of the result. */
static enum larder_status deliver(enum larder_many_kind many, struct larder_row *row,
                                  memcached_result_st *result, int last)
{
    struct larder_value *value = &row->value;
    size_t length = memcached_result_length(result);
    if (many == LARDER_MANY_GET && last)
        return value_take(value, result);
    info_take(&value->info, result);
    if (many == LARDER_MANY_GET)
        return larder_value_copy(value, memcached_result_value(result), length);
    return larder_copy_out(row->buffer, row->size, memcached_result_value(result), length,
                           &value->info);
}

/* @return the number of the key that a result answers, or `to` when it is none of from..to */
static size_t find_key(const struct batch *batch, size_t from, size_t to,
                       const memcached_result_st *result)
{
    const char *key = memcached_result_key_value(result);
    size_t length = memcached_result_key_length(result);
    while (from < to &&
           (batch->lengths[from] != length || memcmp(batch->keys[from], key, length) != 0))
        from++;
    return from;
}

/* @return 0 for a key that was not asked for, or was answered before */
static int take_result(struct batch *batch, struct group *group, memcached_result_st *result)
{
    size_t key = find_key(batch, group->due, group->sent, result);
    if (key == group->sent) { /* a proxy may answer out of order */
        key = find_key(batch, group->next, group->due, result);
        key = key < group->due ? key : group->sent;
    }
    if (key == group->sent || batch->first[key]->row->status != LARDER_ASKED) {
        EDGE_COUNT(batch->call->edge, wrong_keys);
        return 0;
    }
    for (struct want *want = batch->first[key]; want != NULL; want = want->next)
        want->row->status = deliver(batch->many, want->row, result, want->next == NULL);
    group->due = key + 1;
    return 1;
}

/* ---- sending and receiving ----------------------------------------------------------------- */

/* How many of a group's keys go into the next request. */
static size_t request_end(const struct batch *batch, const struct group *group)
{
    size_t bytes = 0;
    size_t end = group->next;
    while (end < group->end && end - group->next < REQUEST_KEYS) {
        bytes += batch->lengths[end] + REQUEST_HEADER_BYTES;
        if (bytes > REQUEST_BYTES && end > group->next)
            break;
        end++;
    }
    return end;
}

static void send_request(struct batch *batch, struct group *group)
{
    enum larder_status status = line_open(batch->call, group->site, &group->line);
    if (status != LARDER_OK) {
        group_end(batch, group, status);
        return;
    }
    struct link *link = group->line.link;
    group->sent = request_end(batch, group);
    group->due = group->next;
    group->heard = 0;
    link_set_cas(link, batch->want_version);
    memcached_return_t code =
        memcached_mget(link->handle, batch->keys + group->next, batch->lengths + group->next,
                       group->sent - group->next);
    if (code == MEMCACHED_SUCCESS)
        return;
    enum fate fate = link_fate(link, code);
    line_close(batch->call, &group->line, fate);
    group->sent = group->next; /* nothing under way: the next round repeats it */
    if (!line_may_repeat(batch->call, &group->line, fate))
        group_end(batch, group, read_failure(fate));
}

/* Also past the deadline: answers that are there already, while another server was waited for, cost
 * no more time. */
static enum fate receive(struct batch *batch, struct group *group)
{
    struct link *link = group->line.link;
    memcached_return_t code = MEMCACHED_SUCCESS;
    memcached_result_st *result;
    size_t longest = 0;
    link_set_deadline(link, batch->call->deadline_ns);
    while ((result = link_fetch(link, &code)) != NULL) {
        size_t length = memcached_result_length(result);
        longest = length > longest ? length : longest;
        group->heard = 1;
        if (!result_is_plausible(result) || !take_result(batch, group, result))
            return FATE_PROTOCOL;
    }
    link_trim(link, longest);
    return link_answered(link, code) ? FATE_CLEAN : link_fate(link, code);
}

/* Where one value ends and the next begins was the word of a reply that broke: what is under way
 * has no answer yet. */
static void take_back(struct batch *batch, const struct group *group)
{
    for (size_t key = group->next; key < group->sent; key++)
        for (struct want *want = batch->first[key]; want != NULL; want = want->next) {
            if (batch->many == LARDER_MANY_GET)
                value_undo(&want->row->value);
            larder_info_clear(&want->row->value.info);
            want->row->status = LARDER_ASKED;
        }
}

static void receive_answer(struct batch *batch, struct group *group)
{
    enum fate fate = receive(batch, group);
    line_close(batch->call, &group->line, fate);
    if (fate != FATE_CLEAN)
        take_back(batch, group);
    if (fate == FATE_CLEAN) {
        answer_keys(batch, group->next, group->sent, LARDER_MISS);
        group->next = group->sent;
    } else if (!group->heard && line_may_repeat(batch->call, &group->line, fate)) {
        EDGE_COUNT(batch->call->edge, reads_repeated);
        group->sent = group->next;
    } else {
        group_end(batch, group, read_failure(fate));
    }
}

/* Sends to the servers that are connected, or to the others. */
static void send_requests(struct batch *batch, int connected)
{
    for (size_t i = 0; i < batch->group_count; i++) {
        struct group *group = &batch->groups[i];
        if (group->next < group->end && group->sent == group->next &&
            call_connected(batch->call, group->site) == connected)
            send_request(batch, group);
    }
}

/* A server that doesn't let itself be dialled must not keep the others from being asked.
 * @return 1 while a group has keys left */
static int round_trip(struct batch *batch)
{
    int left = 0;
    send_requests(batch, 1);
    send_requests(batch, 0);
    for (size_t i = 0; i < batch->group_count; i++) {
        if (batch->groups[i].sent > batch->groups[i].next)
            receive_answer(batch, &batch->groups[i]);
        left |= batch->groups[i].next < batch->groups[i].end;
    }
    return left;
}

/* ---- a batch ------------------------------------------------------------------------------- */

static void batch_free(struct batch *batch)
{
    free(batch->wants);
    free(batch->encoded);
    free(batch->keys);
    free(batch->lengths);
    free(batch->first);
    free(batch->distinct);
    free(batch->table);
    free(batch->groups);
}

static int batch_allocate(struct batch *batch, size_t rows)
{
    batch->wants = malloc(rows * sizeof(*batch->wants));
    batch->keys = malloc(rows * sizeof(*batch->keys));
    batch->lengths = malloc(rows * sizeof(*batch->lengths));
    batch->first = malloc(rows * sizeof(*batch->first));
    batch->distinct = malloc(rows * sizeof(*batch->distinct));
    batch->table_mask = 1;
    while (batch->table_mask < 2 * rows)
        batch->table_mask *= 2;
    batch->table = calloc(batch->table_mask, sizeof(*batch->table));
    batch->table_mask--;
    batch->groups = malloc(batch->call->edge->site_count * sizeof(*batch->groups));
    return batch->wants != NULL && batch->keys != NULL && batch->lengths != NULL &&
           batch->first != NULL && batch->distinct != NULL && batch->table != NULL &&
           batch->groups != NULL;
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

static void read_batch(struct call *call, enum larder_many_kind many,
                       const struct larder_rows *rows, size_t from, size_t to)
{
    struct batch batch = {.call = call, .many = many};
    if (batch_allocate(&batch, to - from)) {
        collect(&batch, rows, from, to);
        arrange(&batch);
        (void)call_borrow(call); /* when it fails, every line says so */
        while (round_trip(&batch))
            continue;
    } else {
        refuse_rows(rows, from, to, LARDER_NO_MEMORY);
    }
    batch_free(&batch);
}

static void read_rows(struct call *call, enum larder_many_kind many, const struct larder_rows *rows)
{
    for (size_t from = 0; from < rows->count; from += BATCH_ROWS) {
        size_t left = rows->count - from;
        read_batch(call, many, rows, from, from + (left < BATCH_ROWS ? left : BATCH_ROWS));
    }
}

/* ---- writes -------------------------------------------------------------------------------- */

static enum larder_status write_row(struct call *call, enum larder_many_kind many,
                                    enum larder_mode mode, const struct larder_row *row)
{
    if (many == LARDER_MANY_STORE)
        return call_store(call, mode, row->key, &row->write);
    if (many == LARDER_MANY_DELETE)
        return call_remove(call, row->key, row->write.version);
    return call_touch(call, row->key, row->write.ttl_ms);
}

static void write_rows(struct call *call, enum larder_many_kind many, enum larder_mode mode,
                       const struct larder_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct larder_row *row = larder_row_at(rows, i);
        if (row->status == LARDER_ASKED)
            row->status = write_row(call, many, mode, row);
    }
}

void edge_many(const struct larder_scope *scope, enum larder_many_kind many, enum larder_mode mode,
               const struct larder_rows *rows)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status != LARDER_OK)
        refuse_rows(rows, 0, rows->count, status);
    else if (many == LARDER_MANY_READ || many == LARDER_MANY_GET)
        read_rows(&call, many, rows);
    else
        write_rows(&call, many, mode, rows);
    call_end(&call);
}
