#include "twins.h"

#include <larder/client.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dice.h"
#include "oracle.h"
#include "stats.h"

#define POOL_BYTES (UINT64_C(4) << 20)
#define LONG_KEY_BYTES 300u

static unsigned char pool[POOL_BYTES];
/* Where reads go, one for each twin; one thread runs this. */
static char buffers[TWINS][POOL_BYTES];

struct larder_slice twins_bytes(uint64_t place, size_t length)
{
    return larder_bytes(pool + place % (POOL_BYTES - length), length);
}

static uint64_t checksum(struct larder_slice bytes)
{
    const unsigned char *at = bytes.data;
    uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < bytes.length; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* ---- telling ------------------------------------------------------------------------------- */

static void note_step(struct twins *twins, unsigned space, const struct model_step *step,
                      const struct answered *answered)
{
    const struct larder_call plain = LARDER_CALL_INIT;
    const struct larder_call *call = step->call != NULL ? step->call : &plain;
    snprintf(twins->trail[twins->steps % TWINS_TRAIL], sizeof(twins->trail[0]),
             "%llu: space %u key %u %s (%zu bytes) flags %x marks %u ttl %lld size %zu %s %llu "
             "initial %llu [touch %lld version %d recache %u]: %s, %zu bytes",
             (unsigned long long)twins->steps, space, step->key, model_does_name(step->does),
             step->value.length, (unsigned)step->flags, (unsigned)step->marks,
             (long long)step->ttl_ms, step->size, step->direction == LARDER_UP ? "up" : "down",
             (unsigned long long)step->number, (unsigned long long)step->initial,
             (long long)call->touch_ttl_ms, call->version != 0, (unsigned)call->recache_ms,
             larder_status_name(answered->answer.status), answered->answer.length);
    twins->steps++;
}

__attribute__((format(printf, 2, 3))) static void differ(const struct twins *twins,
                                                         const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: LARDER_SEED=%llu; the last steps, as the memory cache answered them:\n",
            twins->shape->name, (unsigned long long)twins->seed);
    uint64_t first = twins->steps > TWINS_TRAIL ? twins->steps - TWINS_TRAIL : 0;
    for (uint64_t i = first; i < twins->steps; i++)
        fprintf(stderr, "  %s\n", twins->trail[i % TWINS_TRAIL]);
    fail_msg("%s: step %llu: %s", twins->shape->name, (unsigned long long)twins->steps, text);
}

static void expect_ok(const struct twins *twins, enum larder_status status, const char *what)
{
    if (status != LARDER_OK)
        differ(twins, "%s: %s", what, larder_status_name(status));
}

/* ---- opening ------------------------------------------------------------------------------- */

static void fill_pool(void)
{
    struct dice dice = {1};
    for (size_t i = 0; i < POOL_BYTES; i += sizeof(uint64_t)) {
        uint64_t word = roll(&dice, UINT64_MAX);
        memcpy(pool + i, &word, sizeof(word));
    }
}

/* The first ones are awkward, where there are enough; of the others one in two is of the length
 * that most keys have. */
static void name_keys(struct twins *twins)
{
    static char names[TWINS_KEYS_MAX][40];
    static char long_key[LONG_KEY_BYTES];
    memset(long_key, 'k', sizeof(long_key));
    const struct larder_slice awkward[] = {larder_text("spaces and \r\n"), larder_bytes("n\0l", 3),
                                           larder_text("~bYQ"), larder_bytes("\0", 1),
                                           larder_bytes(long_key, sizeof(long_key))};
    for (unsigned i = 0; i < twins->shape->keys; i++) {
        int length = snprintf(names[i], sizeof(names[i]),
                              i % 2 == 0 ? "key%u" : "a key of some length, %u", i);
        twins->key[i] = larder_bytes(names[i], (size_t)length);
    }
    if (twins->shape->keys > 2 * sizeof(awkward) / sizeof(awkward[0]))
        memcpy(twins->key, awkward, sizeof(awkward));
}

/* Namespaces of a client, or the leaf itself. */
static void open_spaces(struct twins *twins, enum twin twin, struct larder_cache *leaf,
                        const struct larder_open_options *options)
{
    static const char *const names[TWINS_SPACES_MAX] = {"main", "sister", "third"};
    struct larder_route routes[TWINS_SPACES_MAX];
    char message[256] = "";
    twins->owner[twin] = leaf;
    twins->asker[0][twin].cache = leaf;
    if (twins->shape->spaces == 1)
        return;
    for (unsigned i = 0; i < twins->shape->spaces; i++)
        routes[i] = (struct larder_route){names[i], leaf, LARDER_TTL_DEFAULT, 0};
    expect_ok(twins,
              larder_client_open(NULL, options, routes, twins->shape->spaces, &twins->owner[twin],
                                 message, sizeof(message)),
              message);
    for (unsigned i = 0; i < twins->shape->spaces; i++)
        expect_ok(twins, larder_bind(twins->owner[twin], names[i], &twins->asker[i][twin].cache),
                  names[i]);
}

static void open_twin(struct twins *twins, enum twin twin, const char *uri)
{
    struct larder_open_options options = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *leaf = NULL;
    char message[256] = "";
    options.clock = manual_clock_of(&twins->clock);
    expect_ok(twins, larder_open(uri, &options, &leaf, message, sizeof(message)), message);
    open_spaces(twins, twin, leaf, &options);
    for (unsigned i = 0; i < twins->shape->spaces; i++) {
        struct asker *asker = &twins->asker[i][twin];
        asker->key = twins->key;
        asker->seen = twins->seen[i][twin];
        asker->held = twins->held[i][twin];
        asker->buffer = buffers[twin];
        asker->size = POOL_BYTES;
        asker->want = LARDER_WANT_VERSION | LARDER_WANT_TTL;
    }
}

void twins_open(struct twins *twins, const struct twins_shape *shape, uint64_t seed)
{
    char uri[64];
    memset(twins, 0, sizeof(*twins));
    twins->shape = shape;
    twins->seed = seed;
    manual_clock_init(&twins->clock);
    if (pool[0] == 0 && pool[1] == 0)
        fill_pool();
    name_keys(twins);
    enum larder_status registered = oracle_register();
    assert_true(registered == LARDER_OK || registered == LARDER_EXISTS);
    open_twin(twins, TRIED, shape->uri);
    twins->value_max = larder_describe(twins->owner[TRIED])->value_max;
    snprintf(uri, sizeof(uri), "oracle:?value_max=%llu", (unsigned long long)twins->value_max);
    open_twin(twins, ORACLE, uri);
}

static void look_at_view(struct twins *twins, struct twins_view *view)
{
    if (view->value.owner != NULL && checksum(view->value.bytes) != view->checksum)
        differ(twins, "a view changed while it was held");
    larder_value_release(&view->value);
}

void twins_let_go(struct twins *twins)
{
    for (unsigned i = 0; i < TWINS_VIEWS; i++)
        look_at_view(twins, &twins->view[i]);
}

void twins_close(struct twins *twins)
{
    for (enum twin twin = TRIED; twin < TWINS; twin++)
        larder_close(twins->owner[twin]);
    twins_let_go(twins);
}

/* ---- comparing ----------------------------------------------------------------------------- */

static int same_slices(struct larder_slice one, struct larder_slice other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.data, other.data, one.length) == 0);
}

static int same(const struct answered *tried, const struct answered *oracle)
{
    const struct model_answer *one = &tried->answer, *other = &oracle->answer;
    return one->status == other->status && one->length == other->length &&
           one->flags == other->flags && one->number == other->number &&
           one->has_token == other->has_token && same_slices(one->value, other->value) &&
           tried->info.ttl_ms == oracle->info.ttl_ms && tried->info.marks == oracle->info.marks;
}

static void tell_difference(const struct twins *twins, const struct model_step *step,
                            const struct answered *tried, const struct answered *oracle)
{
    const struct model_answer *one = &tried->answer, *other = &oracle->answer;
    differ(twins,
           "%s of key %u: %s (the oracle: %s), %zu (%zu) bytes, flags %x (%x), number %llu (%llu), "
           "token %d (%d), ttl %lld (%lld), marks %u (%u)",
           model_does_name(step->does), step->key, larder_status_name(one->status),
           larder_status_name(other->status), one->length, other->length, (unsigned)one->flags,
           (unsigned)other->flags, (unsigned long long)one->number,
           (unsigned long long)other->number, one->has_token, other->has_token,
           (long long)tried->info.ttl_ms, (long long)oracle->info.ttl_ms,
           (unsigned)tried->info.marks, (unsigned)oracle->info.marks);
}

/* ---- versions ------------------------------------------------------------------------------ */

static int was_given(const struct twins_versions *versions, uint64_t version)
{
    for (unsigned i = 0; i < TWINS_VERSIONS; i++)
        if (versions->last[i] == version)
            return 1;
    return 0;
}

/* Both were told a version at once: of the same write as before, or of a newer one. */
static void check_versions(struct twins *twins, unsigned space, unsigned key, uint64_t tried,
                           uint64_t oracle)
{
    struct twins_versions *versions = &twins->versions[space][key];
    if ((tried == 0) != (oracle == 0))
        differ(twins, "key %u: version %llu (the oracle: %llu)", key, (unsigned long long)tried,
               (unsigned long long)oracle);
    if (oracle == 0)
        return;
    if (oracle == versions->oracle && tried != versions->tried)
        differ(twins, "key %u: version %llu became %llu without a write", key,
               (unsigned long long)versions->tried, (unsigned long long)tried);
    if (oracle != versions->oracle && versions->oracle != 0 && was_given(versions, tried))
        differ(twins, "key %u: version %llu was given before", key, (unsigned long long)tried);
    if (!was_given(versions, tried))
        versions->last[versions->count++ % TWINS_VERSIONS] = tried;
    versions->tried = tried;
    versions->oracle = oracle;
}

static int touches(const struct model_step *step)
{
    return step->does == MODEL_TOUCH || step->does == MODEL_GET_AND_TOUCH ||
           (step->call != NULL && step->call->touch_ttl_ms != LARDER_TTL_UNKNOWN);
}

/* Whether a touch makes a new version is left open. */
static void forget_version(struct twins *twins, unsigned space, unsigned key)
{
    twins->versions[space][key].tried = twins->versions[space][key].oracle = 0;
    twins->seen[space][TRIED][key] = twins->seen[space][ORACLE][key] = 0;
}

/* ---- evictions ----------------------------------------------------------------------------- */

/* Deletes the oracle's entry, if the memory cache may have evicted its own. @return 0: it may not
 */
static int forget_evicted(struct twins *twins, unsigned space, unsigned key)
{
    if (!twins->shape->may_evict || twins->must_be_there)
        return 0;
    /* a store that was refused may have cost the value that it was to replace */
    if (twins->forgiven >= stat_of(twins->owner[TRIED], "evictions") + twins->refused)
        return 0;
    larder_invalidate(twins->asker[space][ORACLE].cache, twins->key[key]);
    twins->forgiven++;
    return 1;
}

static int views_pin_memory(const struct twins *twins)
{
    for (unsigned i = 0; i < TWINS_VIEWS; i++)
        if (twins->view[i].value.owner != NULL)
            return 1;
    return 0;
}

static size_t oracle_length(struct twins *twins, unsigned space, unsigned key)
{
    struct larder_info info = {0};
    enum larder_status status =
        larder_read(twins->asker[space][ORACLE].cache, twins->key[key], NULL, 0, &info);
    return status == LARDER_OK || status == LARDER_PARTIAL ? info.length : 0;
}

/* What is replaced stays until the new value is whole, so both take room at once. Giving the old
 * one up for the new one is what a cache may do; that it always does is not asked of it. */
static int needs_room_for_both(struct twins *twins, unsigned space, const struct model_step *step)
{
    int joins = step->does == MODEL_APPEND || step->does == MODEL_PREPEND;
    size_t old = oracle_length(twins, space, step->key);
    size_t both = old + step->value.length + (joins ? old : 0);
    return old > 0 && both > twins->value_max / 8 * 7;
}

/* A refused store changed nothing, so the oracle is not asked. */
static int is_refusal(struct twins *twins, unsigned space, const struct model_step *step,
                      enum larder_status status)
{
    if (status != LARDER_NO_MEMORY || !twins->shape->may_evict)
        return 0;
    if (!views_pin_memory(twins) && !needs_room_for_both(twins, space, step))
        return 0;
    twins->refused++;
    return 1;
}

/* ---- steps --------------------------------------------------------------------------------- */

static void ask_oracle(struct twins *twins, unsigned space, const struct model_step *step,
                       const struct answered *tried)
{
    struct answered oracle, again;
    ask(&twins->asker[space][ORACLE], step, &oracle);
    if (!same(tried, &oracle)) {
        if (!forget_evicted(twins, space, step->key))
            tell_difference(twins, step, tried, &oracle);
        ask(&twins->asker[space][ORACLE], step, &again);
        if (!same(tried, &again))
            tell_difference(twins, step, tried, &oracle);
        larder_value_release(&oracle.view);
        oracle = again;
    }
    check_versions(twins, space, step->key, tried->info.version, oracle.info.version);
    if (touches(step))
        forget_version(twins, space, step->key);
    larder_value_release(&oracle.view);
}

enum larder_status twins_run(struct twins *twins, unsigned space, const struct model_step *step)
{
    struct answered tried;
    memset(&tried, 0, sizeof(tried));
    if (step->does == MODEL_ADVANCE)
        manual_clock_advance(&twins->clock, (uint64_t)step->ttl_ms);
    else
        ask(&twins->asker[space][TRIED], step, &tried);
    note_step(twins, space, step, &tried);
    if (step->does != MODEL_ADVANCE && !is_refusal(twins, space, step, tried.answer.status))
        ask_oracle(twins, space, step, &tried);
    larder_value_release(&tried.view);
    twins->must_be_there = 0;
    return tried.answer.status;
}

void twins_hold(struct twins *twins, unsigned space, unsigned key, unsigned place)
{
    const struct model_step get = {.does = MODEL_GET, .key = key};
    struct twins_view *view = &twins->view[place];
    struct answered tried;
    look_at_view(twins, view);
    ask(&twins->asker[space][TRIED], &get, &tried);
    note_step(twins, space, &get, &tried);
    ask_oracle(twins, space, &get, &tried);
    view->value = tried.view;
    view->checksum = checksum(view->value.bytes);
}

void twins_flush_all(struct twins *twins)
{
    for (enum twin twin = TRIED; twin < TWINS; twin++)
        expect_ok(twins, larder_flush(twins->owner[twin]), "flush");
}

int64_t twins_ttl_left_ms(struct twins *twins, unsigned space, unsigned key)
{
    struct larder_info info = {.want = LARDER_WANT_TTL};
    enum larder_status status =
        larder_read(twins->asker[space][ORACLE].cache, twins->key[key], NULL, 0, &info);
    return status == LARDER_OK || status == LARDER_PARTIAL ? info.ttl_ms : 0;
}

void twins_check(struct twins *twins)
{
    for (unsigned space = 0; space < twins->shape->spaces; space++)
        for (unsigned key = 0; key < twins->shape->keys; key++) {
            struct model_step get = {.does = MODEL_GET, .key = key};
            (void)twins_run(twins, space, &get);
        }
}

/* ---- many ---------------------------------------------------------------------------------- */

static enum larder_many_kind many_of(enum model_does does)
{
    return does == MODEL_READ     ? LARDER_MANY_READ
           : does == MODEL_GET    ? LARDER_MANY_GET
           : does == MODEL_TOUCH  ? LARDER_MANY_TOUCH
           : does == MODEL_DELETE ? LARDER_MANY_DELETE
                                  : LARDER_MANY_STORE;
}

static enum larder_mode mode_of(enum model_does does)
{
    return does == MODEL_ADD       ? LARDER_ADD
           : does == MODEL_REPLACE ? LARDER_REPLACE
           : does == MODEL_APPEND  ? LARDER_APPEND
           : does == MODEL_PREPEND ? LARDER_PREPEND
                                   : LARDER_SET;
}

static struct larder_row row_of(const struct twins *twins, const struct model_step *step,
                                char *buffer, size_t size)
{
    struct larder_row row;
    memset(&row, 0, sizeof(row));
    row.key = twins->key[step->key];
    row.write = larder_write_of(step->value, step->ttl_ms);
    row.write.flags = step->flags;
    row.write.marks = step->marks;
    row.buffer = buffer;
    row.size = step->size < size ? step->size : size;
    row.value.info.want = LARDER_WANT_VERSION | LARDER_WANT_TTL;
    return row;
}

/* What a row says, as the single form would have said it. */
static struct answered answer_of(const struct larder_row *row, enum model_does does)
{
    struct answered tried;
    int reads = does == MODEL_READ || does == MODEL_GET;
    memset(&tried, 0, sizeof(tried));
    tried.answer.status = row->status;
    tried.info.version = row->value.info.version;
    if (!reads)
        return tried;
    tried.info = row->value.info;
    tried.answer.length = row->value.info.length;
    tried.answer.flags = row->value.info.flags;
    tried.answer.value = row->value.bytes;
    if (does == MODEL_READ)
        tried.answer.value = larder_bytes(
            row->buffer, row->value.info.length < row->size ? row->value.info.length : row->size);
    return tried;
}

void twins_run_many(struct twins *twins, unsigned space, const struct model_step *steps,
                    size_t count)
{
    struct larder_row rows[TWINS_ROWS_MAX];
    size_t room = POOL_BYTES / TWINS_ROWS_MAX;
    for (size_t i = 0; i < count; i++)
        rows[i] = row_of(twins, &steps[i], buffers[TRIED] + i * room, room);
    enum larder_status status =
        larder_many(twins->asker[space][TRIED].cache, NULL, many_of(steps[0].does),
                    mode_of(steps[0].does), rows, count, sizeof(rows[0]));
    enum larder_status lowest = LARDER_OK;
    for (size_t i = 0; i < count; i++) {
        struct answered tried = answer_of(&rows[i], steps[i].does);
        struct model_step single = steps[i];
        single.size = rows[i].size;
        note_step(twins, space, &single, &tried);
        if (!is_refusal(twins, space, &single, rows[i].status))
            ask_oracle(twins, space, &single, &tried);
        lowest = rows[i].status < lowest ? rows[i].status : lowest;
    }
    if (status != lowest)
        differ(twins, "many answers %s", larder_status_name(status));
    larder_rows_release(rows, count);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static unsigned number_of(const struct twins *twins, struct larder_slice name)
{
    unsigned key = 0;
    while (key < twins->shape->keys && !same_slices(twins->key[key], name))
        key++;
    return key;
}

/* Counts how often each key is listed. */
static void list_one(struct twins *twins, struct larder_cache *cache, size_t size, size_t capacity,
                     unsigned listed[TWINS_KEYS_MAX])
{
    struct larder_cursor cursor = {{0}};
    struct larder_slice keys[16];
    char buffer[4096];
    size_t count = 1;
    memset(listed, 0, TWINS_KEYS_MAX * sizeof(listed[0]));
    for (unsigned round = 0; count > 0; round++) {
        expect_ok(twins, larder_keys(cache, &cursor, buffer, size, keys, capacity, &count), "keys");
        for (size_t i = 0; i < count; i++) {
            unsigned key = number_of(twins, keys[i]);
            if (key == twins->shape->keys)
                differ(twins, "a key is listed that nobody stored");
            listed[key]++;
        }
        if (round > 100 * TWINS_KEYS_MAX)
            differ(twins, "a listing has no end");
    }
}

static int is_there(struct twins *twins, unsigned space, unsigned key)
{
    enum larder_status status =
        larder_read(twins->asker[space][ORACLE].cache, twins->key[key], NULL, 0, NULL);
    return status == LARDER_OK || status == LARDER_PARTIAL;
}

void twins_list(struct twins *twins, unsigned space, size_t size, size_t capacity)
{
    unsigned tried[TWINS_KEYS_MAX], oracle[TWINS_KEYS_MAX];
    size = size < LONG_KEY_BYTES ? LONG_KEY_BYTES : size;
    list_one(twins, twins->asker[space][TRIED].cache, size, capacity, tried);
    list_one(twins, twins->asker[space][ORACLE].cache, size, capacity, oracle);
    for (unsigned key = 0; key < twins->shape->keys; key++) {
        struct model_step get = {.does = MODEL_GET, .key = key};
        if (tried[key] > 0 && oracle[key] == 0)
            differ(twins, "key %u is listed and not there", key);
        if (tried[key] == 0 && oracle[key] > 0) {
            twins_run(twins, space, &get); /* if it was evicted, the oracle's is gone now */
            if (is_there(twins, space, key))
                differ(twins, "key %u is there and not listed", key);
        }
    }
}
