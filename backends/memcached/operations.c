/* Operations on one key. Each is a question to one server, and a table of its known good answers.
 */
#include "edge.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/counter.h>
#include <larder/util/value.h>

/* An exptime in 1970: the entry is dead as soon as it is stored. */
#define EXPTIME_DEAD 2592001

/* So often a counter that comes and goes between add and incr is tried again. */
#define COUNT_ROUNDS 16

/* What every question about one key has. */
struct key_talk {
    struct talk talk; /* first: a pointer to it is a pointer to the whole */
    struct larder_slice wire;
};

static struct talk talk_of(talk_fn *run, int is_read)
{
    return (struct talk){run, is_read, LARDER_OK};
}

/* A return code that the operation knows as an answer. */
static enum fate answer(struct talk *talk, enum larder_status status)
{
    talk->status = status;
    return FATE_CLEAN;
}

/* ---- read and get -------------------------------------------------------------------------- */

struct read_talk {
    struct key_talk base;
    struct edge *edge;
    struct larder_info *info;   /* may be NULL */
    struct larder_value *value; /* get; NULL: read */
    void *buffer;
    size_t size;
};

int result_is_of(const memcached_result_st *result, struct larder_slice wire)
{
    return memcached_result_key_length(result) == wire.length &&
           memcmp(memcached_result_key_value(result), wire.data, wire.length) == 0;
}

int bytes_plausible(const void *bytes, size_t length)
{
    return length == 0 || (bytes != NULL && length <= ITEM_BYTES_MAX);
}

int result_is_plausible(const memcached_result_st *result)
{
    return bytes_plausible(memcached_result_value(result), memcached_result_length(result));
}

void info_take(struct larder_info *info, const memcached_result_st *result)
{
    if (info == NULL)
        return;
    info->flags = memcached_result_flags(result);
    info->length = memcached_result_length(result);
    if ((info->want & LARDER_WANT_VERSION) != 0)
        info->version = memcached_result_cas(result);
}

/* Small values are copied, so that a view of one pins no more than it shows. */
#define COPIED_BYTES_MAX 4096u

enum larder_status value_take(struct larder_value *value, memcached_result_st *result)
{
    size_t length = memcached_result_length(result);
    info_take(&value->info, result);
    if (length <= COPIED_BYTES_MAX)
        return larder_value_copy(value, memcached_result_value(result), length);
    return larder_value_adopt(value, memcached_result_take_value(result), length);
}

void value_undo(struct larder_value *value)
{
    if (value->owner != NULL)
        value->owner->release(value->owner);
    value->owner = NULL;
    value->bytes = larder_bytes(NULL, 0);
    larder_info_clear(&value->info);
}

static enum larder_status deliver(struct read_talk *read, memcached_result_st *result)
{
    if (read->value != NULL)
        return value_take(read->value, result);
    info_take(read->info, result);
    return larder_copy_out(read->buffer, read->size, memcached_result_value(result),
                           memcached_result_length(result), read->info);
}

static enum fate read_undo(struct read_talk *read, enum fate fate)
{
    if (read->value != NULL)
        value_undo(read->value);
    larder_info_clear(read->info);
    return fate;
}

/* mget, since it says which key was answered; and to the end, since what is left would be taken for
 * the next answer. */
static enum fate ask_read(struct link *link, struct talk *talk)
{
    struct read_talk *read = (struct read_talk *)talk;
    struct larder_slice wire = read->base.wire;
    const char *key = wire.data;
    memcached_return_t code;
    size_t length = 0;
    enum larder_status status = LARDER_MISS;
    const struct larder_info *info = read->value != NULL ? &read->value->info : read->info;

    link_set_cas(link, info != NULL && (info->want & LARDER_WANT_VERSION) != 0);
    code = memcached_mget(link->handle, &key, &wire.length, 1);
    if (code != MEMCACHED_SUCCESS)
        return link_fate(link, code);
    memcached_result_st *result;
    while ((result = link_fetch(link, &code)) != NULL) {
        if (!result_is_plausible(result))
            return read_undo(read, FATE_PROTOCOL);
        if (status != LARDER_MISS || !result_is_of(result, wire)) {
            EDGE_COUNT(read->edge, wrong_keys);
            return read_undo(read, FATE_PROTOCOL);
        }
        length = memcached_result_length(result);
        status = deliver(read, result);
    }
    link_trim(link, length);
    if (!link_answered(link, code))
        return read_undo(read, link_fate(link, code));
    return answer(talk, status);
}

/* ---- the same in binary: one request instead of two, whose reply has the key as well ------------
 */

static enum larder_status deliver_owned(struct read_talk *read, char *bytes, size_t length,
                                        const memcached_result_st *result)
{
    struct larder_info *info = read->value != NULL ? &read->value->info : read->info;
    enum larder_status status;
    info_take(info, result);
    if (read->value != NULL && length > COPIED_BYTES_MAX)
        return larder_value_adopt(read->value, bytes, length);
    if (read->value != NULL)
        status = larder_value_copy(read->value, bytes, length);
    else
        status = larder_copy_out(read->buffer, read->size, bytes, length, info);
    free(bytes);
    return status;
}

static enum fate ask_read_binary(struct link *link, struct talk *talk)
{
    struct read_talk *read = (struct read_talk *)talk;
    struct larder_slice wire = read->base.wire;
    memcached_return_t code;
    size_t length = 0;
    uint32_t flags;
    char *bytes = memcached_get(link->handle, wire.data, wire.length, &length, &flags, &code);
    if (!link_alive(link) || memcached_last_error(link->handle) != MEMCACHED_SUCCESS) {
        free(bytes);
        return link_fate(link, code);
    }
    if (code == MEMCACHED_NOTFOUND)
        return answer(talk, LARDER_MISS);
    if (code != MEMCACHED_SUCCESS)
        return link_fate(link, code);
    if (!result_is_of(&link->handle->result, wire)) {
        EDGE_COUNT(read->edge, wrong_keys);
        free(bytes);
        return FATE_PROTOCOL;
    }
    if (!bytes_plausible(bytes, length)) {
        free(bytes);
        return FATE_PROTOCOL;
    }
    return answer(talk, deliver_owned(read, bytes, length, &link->handle->result));
}

static enum larder_status ask(struct call *call, struct larder_slice key, struct read_talk *read)
{
    struct target target;
    enum larder_status status = call_target(call, key, &target);
    if (status != LARDER_OK)
        return status;
    read->base.talk = talk_of(call->edge->config->binary ? ask_read_binary : ask_read, 1);
    read->base.wire = target.wire.bytes;
    read->edge = call->edge;
    return converse(call, target.site, &read->base.talk);
}

enum larder_status call_read(struct call *call, struct larder_slice key, void *buffer, size_t size,
                             struct larder_info *info)
{
    struct read_talk read = {.info = info, .buffer = buffer, .size = size};
    return ask(call, key, &read);
}

enum larder_status call_get(struct call *call, struct larder_slice key, struct larder_value *value)
{
    struct read_talk read = {.value = value};
    return ask(call, key, &read);
}

/* ---- store --------------------------------------------------------------------------------- */

struct store_talk {
    struct key_talk base;
    enum larder_mode mode;
    const struct larder_write *write;
    time_t exptime;
};

static memcached_return_t send_store(memcached_st *handle, const struct store_talk *store)
{
    const char *key = store->base.wire.data;
    size_t key_length = store->base.wire.length;
    /* libmemcached must see a pointer, also to no bytes. */
    const char *value = store->write->value.length > 0 ? store->write->value.data : "";
    size_t length = store->write->value.length;
    uint32_t flags = store->write->flags;
    switch (store->mode) {
    case LARDER_SET:
        return memcached_set(handle, key, key_length, value, length, store->exptime, flags);
    case LARDER_ADD:
        return memcached_add(handle, key, key_length, value, length, store->exptime, flags);
    case LARDER_REPLACE:
        return memcached_replace(handle, key, key_length, value, length, store->exptime, flags);
    case LARDER_APPEND:
        return memcached_append(handle, key, key_length, value, length, 0, 0);
    case LARDER_PREPEND:
        return memcached_prepend(handle, key, key_length, value, length, 0, 0);
    case LARDER_CAS:
        return memcached_cas(handle, key, key_length, value, length, store->exptime, flags,
                             store->write->version);
    }
    return MEMCACHED_INVALID_ARGUMENTS;
}

/* What a mode's refusal means; OK: it is none of its answers. */
static enum larder_status refusal(enum larder_mode mode, memcached_return_t code)
{
    switch (mode) {
    case LARDER_SET:
        return LARDER_OK;
    case LARDER_ADD:
        return code == MEMCACHED_NOTSTORED || code == MEMCACHED_DATA_EXISTS ? LARDER_EXISTS
                                                                            : LARDER_OK;
    case LARDER_REPLACE:
    case LARDER_APPEND:
    case LARDER_PREPEND:
        return code == MEMCACHED_NOTSTORED || code == MEMCACHED_NOTFOUND ? LARDER_MISS : LARDER_OK;
    case LARDER_CAS:
        if (code == MEMCACHED_NOTFOUND)
            return LARDER_MISS;
        return code == MEMCACHED_DATA_EXISTS ? LARDER_CONFLICT : LARDER_OK;
    }
    return LARDER_OK;
}

/* The server has answered that it will not keep the value. In binary the second code is also what
 * libmemcached says of its own memory, but then it leaves an error behind. */
static int is_out_of_memory(const struct link *link, memcached_return_t code)
{
    return code == MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE ||
           (code == MEMCACHED_MEMORY_ALLOCATION_FAILURE &&
            memcached_last_error(link->handle) == MEMCACHED_SUCCESS);
}

static enum fate ask_store(struct link *link, struct talk *talk)
{
    struct store_talk *store = (struct store_talk *)talk;
    memcached_return_t code = send_store(link->handle, store);
    if (code == MEMCACHED_SUCCESS)
        return answer(talk, LARDER_OK);
    if (code == MEMCACHED_E2BIG)
        return answer(talk, LARDER_TOO_LARGE);
    if (is_out_of_memory(link, code))
        return answer(talk, LARDER_NO_MEMORY);
    enum larder_status status = refusal(store->mode, code);
    return status != LARDER_OK ? answer(talk, status) : link_fate(link, code);
}

/* memcached's text parser takes its largest number for an overflow. No entry has that version, so
 * whether there is one is the whole answer. */
static int is_unsendable(const struct call *call, uint64_t version)
{
    return version == UINT64_MAX && !call->edge->config->binary;
}

static enum larder_status answer_unsendable(struct call *call, struct larder_slice key)
{
    enum larder_status status = call_read(call, key, NULL, 0, NULL);
    return status == LARDER_OK || status == LARDER_PARTIAL ? LARDER_CONFLICT : status;
}

static int is_joining(enum larder_mode mode)
{
    return mode == LARDER_APPEND || mode == LARDER_PREPEND;
}

/* memcached refuses to join with NOT_STORED both where nothing is and where the sum is too long. */
static enum larder_status why_not_joined(struct call *call, struct larder_slice key,
                                         const struct target *target, size_t added)
{
    struct larder_info info = {0};
    enum larder_status status = call_read(call, key, NULL, 0, &info);
    if (status != LARDER_OK && status != LARDER_PARTIAL)
        return status; /* a MISS, or a failure after which nothing was written either */
    status = limit_check(call, target, info.length + added, info.flags);
    return status == LARDER_TOO_LARGE ? LARDER_TOO_LARGE : LARDER_MISS;
}

enum larder_status call_store(struct call *call, enum larder_mode mode, struct larder_slice key,
                              const struct larder_write *write)
{
    struct target target;
    enum larder_status status = call_target(call, key, &target);
    if (status == LARDER_OK)
        status = limit_check(call, &target, write->value.length, write->flags);
    if (status != LARDER_OK)
        return status;
    if (mode == LARDER_CAS && is_unsendable(call, write->version))
        return answer_unsendable(call, key);
    struct store_talk store = {
        {talk_of(ask_store, 0), target.wire.bytes}, mode, write, exptime_from_now(write->ttl_ms)};
    status = converse(call, target.site, &store.base.talk);
    if (status == LARDER_TOO_LARGE) /* the server's limit has changed */
        atomic_store_explicit(&call->edge->sites[target.site].item_max, 0, memory_order_relaxed);
    if (status == LARDER_MISS && is_joining(mode))
        return why_not_joined(call, key, &target, write->value.length);
    return status;
}

/* ---- delete and touch ---------------------------------------------------------------------- */

struct remove_talk {
    struct key_talk base;
    uint64_t version;
};

static enum fate ask_remove(struct link *link, struct talk *talk)
{
    struct remove_talk *removal = (struct remove_talk *)talk;
    const char *key = removal->base.wire.data;
    size_t length = removal->base.wire.length;
    memcached_return_t code =
        removal->version == 0
            ? memcached_delete(link->handle, key, length, 0)
            : memcached_cas(link->handle, key, length, "", 0, EXPTIME_DEAD, 0, removal->version);
    if (code == MEMCACHED_SUCCESS)
        return answer(talk, LARDER_OK);
    if (code == MEMCACHED_NOTFOUND)
        return answer(talk, LARDER_MISS);
    if (code == MEMCACHED_DATA_EXISTS && removal->version != 0)
        return answer(talk, LARDER_CONFLICT);
    return link_fate(link, code);
}

enum larder_status call_remove(struct call *call, struct larder_slice key, uint64_t version)
{
    struct target target;
    enum larder_status status = call_target(call, key, &target);
    if (status != LARDER_OK)
        return status;
    if (is_unsendable(call, version))
        return answer_unsendable(call, key);
    struct remove_talk removal = {{talk_of(ask_remove, 0), target.wire.bytes}, version};
    return converse(call, target.site, &removal.base.talk);
}

struct touch_talk {
    struct key_talk base;
    time_t exptime;
};

static enum fate ask_touch(struct link *link, struct talk *talk)
{
    struct touch_talk *touch = (struct touch_talk *)talk;
    memcached_return_t code = memcached_touch(link->handle, touch->base.wire.data,
                                              touch->base.wire.length, touch->exptime);
    if (code == MEMCACHED_SUCCESS)
        return answer(talk, LARDER_OK);
    return code == MEMCACHED_NOTFOUND ? answer(talk, LARDER_MISS) : link_fate(link, code);
}

enum larder_status call_touch(struct call *call, struct larder_slice key, int64_t ttl_ms)
{
    struct target target;
    enum larder_status status = call_target(call, key, &target);
    if (status != LARDER_OK)
        return status;
    struct touch_talk touch = {{talk_of(ask_touch, 0), target.wire.bytes},
                               exptime_from_now(ttl_ms)};
    return converse(call, target.site, &touch.base.talk);
}

/* ---- count --------------------------------------------------------------------------------- */

struct count_talk {
    struct key_talk base;
    int binary;
    enum larder_direction direction;
    uint64_t delta;
    uint64_t result;
};

/* libmemcached's plain form takes 32 bits of delta, the form with an initial value 64, but in
 * binary only; told not to add one, it is a plain one. */
static memcached_return_t send_count(memcached_st *handle, struct count_talk *count)
{
    const char *key = count->base.wire.data;
    size_t length = count->base.wire.length;
    uint32_t delta = (uint32_t)count->delta;
    if (count->binary)
        return count->direction == LARDER_UP
                   ? memcached_increment_with_initial(handle, key, length, count->delta, 0,
                                                      MEMCACHED_EXPIRATION_NOT_ADD, &count->result)
                   : memcached_decrement_with_initial(handle, key, length, count->delta, 0,
                                                      MEMCACHED_EXPIRATION_NOT_ADD, &count->result);
    return count->direction == LARDER_UP
               ? memcached_increment(handle, key, length, delta, &count->result)
               : memcached_decrement(handle, key, length, delta, &count->result);
}

static enum fate ask_count(struct link *link, struct talk *talk)
{
    struct count_talk *count = (struct count_talk *)talk;
    memcached_return_t code = send_count(link->handle, count);
    if (code == MEMCACHED_SUCCESS)
        return answer(talk, LARDER_OK);
    if (code == MEMCACHED_NOTFOUND)
        return answer(talk, LARDER_MISS);
    enum fate fate = link_fate(link, code);
    if (fate != FATE_PROTOCOL)
        return fate;
    talk->status = LARDER_NOT_A_NUMBER;
    return FATE_REFUSED;
}

/* A value that is no number and a reply that is no answer have the same return code (text:
 * CLIENT_ERROR, binary: UNKNOWN_READ_FAILURE). What the entry holds tells them apart. */
static enum larder_status why_not_counted(struct call *call, struct larder_slice key)
{
    char text[64];
    uint64_t number;
    struct larder_info info = {0};
    enum larder_status status = call_read(call, key, text, sizeof(text), &info);
    if (status == LARDER_PARTIAL ||
        (status == LARDER_OK && !larder_counter_parse(larder_bytes(text, info.length), &number)))
        return LARDER_NOT_A_NUMBER;
    return LARDER_UNKNOWN;
}

static enum larder_status count_once(struct call *call, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     uint64_t *result)
{
    struct target target;
    enum larder_status status = call_target(call, key, &target);
    if (status != LARDER_OK)
        return status;
    struct count_talk count = {.base = {talk_of(ask_count, 0), target.wire.bytes},
                               .binary = call->edge->config->binary,
                               .direction = direction,
                               .delta = delta};
    status = converse(call, target.site, &count.base.talk);
    if (status == LARDER_OK)
        *result = count.result;
    return status == LARDER_NOT_A_NUMBER ? why_not_counted(call, key) : status;
}

/* @return OK, or EXISTS when somebody else was first */
static enum larder_status count_start(struct call *call, struct larder_slice key,
                                      const struct larder_initial *initial, uint64_t number)
{
    char text[LARDER_COUNTER_BYTES_MAX];
    struct larder_slice value = larder_bytes(text, larder_counter_format(number, text));
    struct larder_write write = larder_write_of(value, initial->ttl_ms);
    write.flags = initial->flags;
    return call_store(call, LARDER_ADD, key, &write);
}

static enum larder_status call_count(struct call *call, struct larder_slice key,
                                     enum larder_direction direction, uint64_t delta,
                                     const struct larder_initial *initial, uint64_t *result)
{
    for (int round = 0; round < COUNT_ROUNDS; round++) {
        enum larder_status status = count_once(call, key, direction, delta, result);
        if (status != LARDER_MISS || initial == NULL)
            return status;
        uint64_t number = larder_counter_step(initial->value, direction, delta);
        status = count_start(call, key, initial, number);
        if (status == LARDER_OK)
            *result = number;
        if (status != LARDER_EXISTS)
            return status;
    }
    return LARDER_TIMEOUT;
}

/* ---- flush --------------------------------------------------------------------------------- */

static enum fate ask_flush(struct link *link, struct talk *talk)
{
    memcached_return_t code = memcached_flush(link->handle, 0);
    if (code != MEMCACHED_SUCCESS || !link_alive(link) ||
        memcached_last_error(link->handle) != MEMCACHED_SUCCESS)
        return link_fate(link, code);
    return answer(talk, LARDER_OK);
}

static enum larder_status call_flush(struct call *call)
{
    enum larder_status lowest = LARDER_OK;
    uint32_t only = call->scope->server;
    if (only > call->edge->site_count)
        return LARDER_BAD_ARGUMENT;
    for (uint32_t i = 0; i < call->edge->site_count; i++) {
        if (only != 0 && only - 1 != i)
            continue;
        struct talk flush = talk_of(ask_flush, 0);
        enum larder_status status = converse(call, i, &flush);
        if (status < lowest)
            lowest = status;
    }
    return lowest;
}

/* ---- rows of the table --------------------------------------------------------------------- */

enum larder_status edge_read(const struct larder_scope *scope, struct larder_slice key,
                             void *buffer, size_t size, struct larder_info *info)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_read(&call, key, buffer, size, info);
    call_end(&call);
    return status;
}

enum larder_status edge_get(const struct larder_scope *scope, struct larder_slice key,
                            struct larder_value *value)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_get(&call, key, value);
    call_end(&call);
    return status;
}

enum larder_status edge_store(const struct larder_scope *scope, enum larder_mode mode,
                              struct larder_slice key, const struct larder_write *write,
                              uint64_t *version)
{
    struct call call;
    (void)version; /* memcached can't tell it: traits lack STORE_VERSION */
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_store(&call, mode, key, write);
    call_end(&call);
    return status;
}

enum larder_status edge_remove(const struct larder_scope *scope, struct larder_slice key,
                               uint64_t version)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_remove(&call, key, version);
    call_end(&call);
    return status;
}

enum larder_status edge_touch(const struct larder_scope *scope, struct larder_slice key,
                              int64_t ttl_ms)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_touch(&call, key, ttl_ms);
    call_end(&call);
    return status;
}

enum larder_status edge_get_and_touch(const struct larder_scope *scope, struct larder_slice key,
                                      int64_t ttl_ms, struct larder_value *value)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_touch(&call, key, ttl_ms);
    if (status == LARDER_OK)
        status = call_get(&call, key, value);
    call_end(&call);
    return status;
}

enum larder_status edge_count(const struct larder_scope *scope, struct larder_slice key,
                              enum larder_direction direction, uint64_t delta,
                              const struct larder_initial *initial, uint64_t *result)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_count(&call, key, direction, delta, initial, result);
    call_end(&call);
    return status;
}

enum larder_status edge_flush(const struct larder_scope *scope)
{
    struct call call;
    enum larder_status status = call_begin(&call, scope);
    if (status == LARDER_OK)
        status = call_flush(&call);
    call_end(&call);
    return status;
}

enum larder_status edge_wire_key(const struct larder_scope *scope, struct larder_slice key,
                                 void *buffer, size_t size, size_t *length)
{
    struct larder_wire_key wire;
    enum larder_status status = larder_key_encode(key, scope->flags, &wire);
    if (status != LARDER_OK)
        return status;
    *length = wire.bytes.length;
    return larder_copy_out(buffer, size, wire.bytes.data, wire.bytes.length, NULL);
}

uint32_t edge_servers(const struct larder_scope *scope)
{
    return ((const struct edge *)scope->self)->site_count;
}
