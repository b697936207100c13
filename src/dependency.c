/*
 * CacheDependency: a counter under the master hands out numbers, the slot of each number names one
 * wired key.
 *
 *   "~dc:" master             decimal: numbers handed out, plus 2^31 for every confirmation
 *   "~ds:" number ":" master  the bytes of a wired key
 *
 * The number ends at the first colon, so no two masters share a slot.
 *
 * Adding
 *   a1  count up, and own the number n
 *   a2  add slot n
 *   a3  confirm: count up by 2^31, and start again when the counter is gone or behind n
 *   a4  look whether counter and slot have versions
 *
 * Storing: a1 to a3 for every master, then
 *   s4  store the value
 *   s5  look whether all slots are still there, and a4; if not, delete the value
 *
 * Deleting
 *   d1  read the counter and its version
 *   d2  read the slots
 *   d3  delete their keys
 *   d4  delete each slot at the version read
 *   d5  delete their keys again
 *   d6  delete the counter at the version read; if it has another one by now, start again at d1
 *
 * Why a confirmed wire is never orphaned. Whoever passes d6 read the counter at d1 in the version
 * it deletes. If a3 came before that d1, slot n was there at d2. If a3 came between d1 and d6, it
 * gave the counter another version, and d6 starts over. If a3 comes after d6, it finds no counter,
 * or a new one that is behind n (start again), or a new one that reached n: then slot n belongs to
 * that one. Merely reading the counter at a3 would not do: a delete that looked at slot n before a2
 * could still take the counter away after the reading, and leave a slot that no counter leads to.
 *
 * Why a stored value is never left without its wire. If slot n is there at s5, whoever deletes the
 * slot later (d4) deletes the key after that (d5), so also what s4 stored. If it is not, the
 * storing side deletes the value. Keys go before their slots as well (d3), so that a delete that
 * fails or dies half-way leaves every key that it did not reach wired, and the counter in place.
 *
 * Why slots are deleted at a version. Two deletes may have read the same slot; after the first is
 * through, the number may be given out again, and the second must not take the new wire.
 *
 * Why versions are looked at. A server with cas off takes wires like any other, but hands out no
 * version, and no delete could follow them.
 *
 * The counter counts refused adds too, past its cap; were there ever 2^31, it would start again as
 * a lost one does.
 *
 * A lost counter: new numbers start from 1 and run into old slots (EXISTS), which stay; numbers are
 * then skipped in doubling steps. A delete looks further than the counter says: with it or without,
 * until a run of slots is missing. What it can't find is a wire behind a longer run of lost ones.
 */
#include <larder/dependency.h>

#include <larder/traits.h>
#include <larder/util/counter.h>

#include "handle.h"

#include <stdlib.h>
#include <string.h>

#define COUNTER_PREFIX "~dc:"
#define SLOT_PREFIX "~ds:"
#define PREFIX_BYTES 4u
/* "~ds:65536:", rounded up */
#define NAME_BYTES_BESIDE_MASTER 12u

#define CONFIRMATION (UINT64_C(1) << 31)
#define NUMBER_MASK (CONFIRMATION - 1)

#define BATCH 256u      /* slots in one call */
#define BEYOND 32u      /* slots looked at past a counter that is there */
#define PLACES_MAX 20u  /* doublings; 17 pass every number there is */
#define ATTEMPTS_MAX 8u /* of an add, when deletes keep coming */
#define ROUNDS_MAX 16u  /* of a delete, when adds keep coming */

#define NEEDED                                                                                  \
    ((uint64_t)(LARDER_CAN_ADD | LARDER_CAN_CAS | LARDER_CAN_COUNT | LARDER_CAN_COUNT_INITIAL | \
                LARDER_CAN_DELETE_VERSION))

struct wire {
    struct larder_slice key;
    uint64_t number; /* of its slot; 0: none yet */
    int was_there;   /* deleting: the key was, and is no more */
};

/* What one call works with, all in one block; touched by its thread alone. */
struct workspace {
    struct larder_cache *cache;
    struct larder_slice master;
    struct larder_slice counter; /* the counter's key */
    size_t capacity;             /* of each array */
    struct larder_row *slots; /* what is asked about slots; holds the views while a batch is used;
                                 has one row more, for the counter */
    struct larder_row *rows;  /* what is asked about those views */
    struct wire *wires;
    char *names; /* of the slots, name_size bytes each */
    size_t name_size;
};

/* ---- names --------------------------------------------------------------------------------- */

static struct larder_slice counter_name(char *text, struct larder_slice master)
{
    memcpy(text, COUNTER_PREFIX, PREFIX_BYTES);
    memcpy(text + PREFIX_BYTES, master.data, master.length);
    return larder_bytes(text, PREFIX_BYTES + master.length);
}

static struct larder_slice slot_name(char *text, uint64_t number, struct larder_slice master)
{
    char digits[LARDER_COUNTER_BYTES_MAX];
    size_t count = larder_counter_format(number, digits);
    memcpy(text, SLOT_PREFIX, PREFIX_BYTES);
    memcpy(text + PREFIX_BYTES, digits, count);
    text[PREFIX_BYTES + count] = ':';
    memcpy(text + PREFIX_BYTES + count + 1, master.data, master.length);
    return larder_bytes(text, PREFIX_BYTES + count + 1 + master.length);
}

static struct larder_slice work_slot_name(struct workspace *work, size_t index, uint64_t number)
{
    return slot_name(work->names + index * work->name_size, number, work->master);
}

/* ---- arguments and memory ------------------------------------------------------------------ */

static int length_between(struct larder_slice bytes, size_t longest)
{
    return bytes.data != NULL && bytes.length >= 1 && bytes.length <= longest;
}

static int is_key(struct larder_slice key)
{
    return length_between(key, LARDER_KEY_BYTES_MAX);
}

static int is_master(struct larder_slice master)
{
    return length_between(master, LARDER_DEPENDENCY_MASTER_BYTES_MAX);
}

static int is_ttl(int64_t ttl_ms)
{
    return ttl_ms >= 0 || ttl_ms == LARDER_TTL_DEFAULT;
}

static int keeps_nothing(const struct larder_cache *cache)
{
    return (larder_describe(cache)->promises & LARDER_KEEPS_NOTHING) != 0;
}

static enum larder_status check_cache(const struct larder_cache *cache)
{
    if (cache == NULL || larder__hides_errors(cache))
        return LARDER_BAD_ARGUMENT;
    const struct larder_traits *traits = larder_describe(cache);
    if (keeps_nothing(cache))
        return LARDER_OK;
    if (!larder_can(traits, NEEDED) || traits->delta_max < CONFIRMATION)
        return LARDER_UNSUPPORTED;
    return LARDER_OK;
}

static enum larder_status check_keys(const struct larder_slice *keys, size_t count)
{
    if (count > 0 && keys == NULL)
        return LARDER_BAD_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        if (!is_key(keys[i]))
            return LARDER_BAD_KEY;
    return LARDER_OK;
}

static enum larder_status check_masters(const struct larder_slice *masters, size_t count)
{
    if (count > 0 && masters == NULL)
        return LARDER_BAD_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        if (!is_master(masters[i]))
            return LARDER_BAD_KEY;
    return LARDER_OK;
}

static enum larder_status worse(enum larder_status left, enum larder_status right)
{
    if (left < 0 || right < 0)
        return left < right ? left : right;
    return left > right ? left : right;
}

static enum larder_status work_open(struct workspace *work, struct larder_cache *cache,
                                    struct larder_slice master, size_t capacity)
{
    size_t name_size = master.length + NAME_BYTES_BESIDE_MASTER;
    size_t bytes_each = 2 * sizeof(struct larder_row) + sizeof(struct wire) + name_size;
    char *block = malloc(sizeof(struct larder_row) + capacity * bytes_each + name_size);
    if (block == NULL)
        return LARDER_NO_MEMORY;
    work->cache = cache;
    work->master = master;
    work->capacity = capacity;
    work->slots = (struct larder_row *)(void *)block;
    work->rows = work->slots + capacity + 1;
    work->wires = (struct wire *)(void *)(work->rows + capacity);
    work->names = (char *)(work->wires + capacity);
    work->name_size = name_size;
    work->counter = counter_name(work->names + capacity * name_size, master);
    return LARDER_OK;
}

static void work_close(struct workspace *work)
{
    free(work->slots);
}

static struct larder_row *row_start(struct larder_row *row, struct larder_slice key)
{
    memset(row, 0, sizeof(*row));
    row->key = key;
    return row;
}

static struct larder_row *versioned_row_start(struct larder_row *row, struct larder_slice key)
{
    row_start(row, key)->value.info.want = LARDER_WANT_VERSION;
    return row;
}

static int is_missing(enum larder_status status)
{
    return status == LARDER_MISS || status == LARDER_ABSENT;
}

/* UNSUPPORTED: what was read has no version, so no delete could guard it. What is gone by now is
 * none of that. */
static enum larder_status guard_status(const struct larder_row *row)
{
    if (row->status == LARDER_OK || row->status == LARDER_PARTIAL)
        return row->value.info.version != 0 ? LARDER_OK : LARDER_UNSUPPORTED;
    return is_missing(row->status) ? LARDER_OK : row->status;
}

/* ---- adding -------------------------------------------------------------------------------- */

/* a1: the last `count` of `count` + `skipped` new numbers. MISS: the cache keeps nothing. */
static enum larder_status take_numbers(struct workspace *work, size_t count, uint64_t skipped,
                                       uint64_t *first)
{
    struct larder_initial initial = {0, LARDER_TTL_FOREVER, 0, 0};
    uint64_t counter = 0;
    enum larder_status status =
        larder_incr(work->cache, work->counter, count + skipped, &initial, &counter);
    if (status != LARDER_OK)
        return status;
    uint64_t last = counter & NUMBER_MASK;
    if (last < count || last > LARDER_DEPENDENCY_WIRES_MAX)
        return LARDER_TOO_LARGE;
    *first = last - count + 1;
    return LARDER_OK;
}

static size_t count_unplaced(const struct workspace *work, size_t count)
{
    size_t unplaced = 0;
    for (size_t i = 0; i < count; i++)
        unplaced += work->wires[i].number == 0;
    return unplaced;
}

/* a2. A slot that is taken leaves its wire unplaced. */
static enum larder_status add_slots(struct workspace *work, size_t count, uint64_t first,
                                    int64_t ttl_ms)
{
    enum larder_status worst = LARDER_OK;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        if (work->wires[i].number != 0)
            continue;
        struct larder_row *row =
            row_start(&work->slots[asked], work_slot_name(work, asked, first + asked));
        row->write = larder_write_of(work->wires[i].key, ttl_ms);
        asked++;
    }
    (void)larder_store_multi(work->cache, LARDER_ADD, work->slots, asked);
    for (size_t i = 0, answered = 0; answered < asked; i++) {
        if (work->wires[i].number != 0)
            continue;
        enum larder_status status = work->slots[answered].status;
        if (status == LARDER_OK)
            work->wires[i].number = first + answered;
        else if (status != LARDER_EXISTS)
            worst = worse(worst, status);
        answered++;
    }
    return worst;
}

/* a1 and a2 until every wire has a slot. Taken slots are left from a counter that was lost:
 * skipping in doubling steps passes however many there are in a few calls. */
static enum larder_status place(struct workspace *work, size_t count, int64_t ttl_ms)
{
    uint64_t skipped = 0;
    for (unsigned tries = 0; tries < PLACES_MAX; tries++) {
        size_t unplaced = count_unplaced(work, count);
        uint64_t first = 0;
        if (unplaced == 0)
            return LARDER_OK;
        enum larder_status status = take_numbers(work, unplaced, skipped, &first);
        if (status == LARDER_OK)
            status = add_slots(work, count, first, ttl_ms);
        if (status != LARDER_OK)
            return status;
        skipped = 2 * skipped + (tries > 0); /* numbers 1, 2, 4, 8, … */
    }
    return LARDER_CONFLICT;
}

/* a3. Where it can, it also renews the counter's TTL: under a `max_ttl` the counter would else end
 * before its newest wires. CONFLICT: the counter is gone or fell behind. */
static enum larder_status confirm(struct workspace *work, size_t count)
{
    struct larder_call renew = LARDER_CALL_INIT;
    int renews = (larder_describe(work->cache)->options & LARDER_TAKES_TOUCH) != 0;
    uint64_t counter = 0;
    renew.touch_ttl_ms = LARDER_TTL_FOREVER;
    enum larder_status status =
        larder_count_with(work->cache, renews ? &renew : NULL, work->counter, LARDER_UP,
                          CONFIRMATION, NULL, &counter);
    if (status == LARDER_MISS)
        return LARDER_CONFLICT;
    for (size_t i = 0; status == LARDER_OK && i < count; i++)
        if (work->wires[i].number > (counter & NUMBER_MASK))
            status = LARDER_CONFLICT;
    return status;
}

/* a4. Reads no bytes. */
static enum larder_status look_at_versions(struct workspace *work, size_t count)
{
    enum larder_status worst = LARDER_OK;
    if (work->wires[0].number == 0) /* over a cache that keeps nothing */
        return LARDER_OK;
    for (size_t i = 0; i < count; i++)
        versioned_row_start(&work->slots[i], work_slot_name(work, i, work->wires[i].number));
    versioned_row_start(&work->slots[count], work->counter);
    (void)larder_read_multi(work->cache, work->slots, count + 1);
    for (size_t i = 0; i <= count; i++)
        worst = worse(worst, guard_status(&work->slots[i]));
    return worst;
}

/* a1 to a3. */
static enum larder_status wire_all(struct workspace *work, size_t count, int64_t ttl_ms)
{
    enum larder_status status = LARDER_CONFLICT;
    for (unsigned tries = 0; status == LARDER_CONFLICT && tries < ATTEMPTS_MAX; tries++) {
        for (size_t i = 0; i < count; i++)
            work->wires[i].number = 0;
        status = place(work, count, ttl_ms);
        if (status == LARDER_OK)
            status = confirm(work, count);
    }
    if (status != LARDER_MISS)
        return status;
    return keeps_nothing(work->cache) ? LARDER_OK : LARDER_CONFLICT;
}

enum larder_status larder_dependency_add(struct larder_cache *cache, struct larder_slice master,
                                         struct larder_slice key, int64_t wire_ttl_ms)
{
    return larder_dependency_add_multi(cache, master, &key, 1, wire_ttl_ms);
}

static enum larder_status add_in_batches(struct workspace *work, const struct larder_slice *keys,
                                         size_t count, int64_t ttl_ms)
{
    enum larder_status status = LARDER_OK;
    for (size_t done = 0; status == LARDER_OK && done < count;) {
        size_t some = count - done < work->capacity ? count - done : work->capacity;
        for (size_t i = 0; i < some; i++)
            work->wires[i].key = keys[done + i];
        status = wire_all(work, some, ttl_ms);
        if (status == LARDER_OK)
            status = look_at_versions(work, some);
        done += some;
    }
    return status;
}

enum larder_status larder_dependency_add_multi(struct larder_cache *cache,
                                               struct larder_slice master,
                                               const struct larder_slice *keys, size_t count,
                                               int64_t wire_ttl_ms)
{
    struct workspace work;
    enum larder_status status = check_cache(cache);
    if (status == LARDER_OK)
        status = check_masters(&master, 1);
    if (status == LARDER_OK)
        status = check_keys(keys, count);
    if (status != LARDER_OK || count == 0)
        return status;
    if (!is_ttl(wire_ttl_ms))
        return LARDER_BAD_ARGUMENT;
    if (count > LARDER_DEPENDENCY_WIRES_MAX)
        return LARDER_TOO_LARGE;
    status = work_open(&work, cache, master, count < BATCH ? count : BATCH);
    if (status != LARDER_OK)
        return status;
    status = add_in_batches(&work, keys, count, wire_ttl_ms);
    work_close(&work);
    return status;
}

/* ---- storing ------------------------------------------------------------------------------- */

/* The slots that one value hangs on, each followed by its counter. */
struct holds {
    struct larder_row *rows;
    size_t count; /* of rows; 0 over a cache that keeps nothing */
    char *names;
    size_t names_used;
};

static enum larder_status holds_open(struct holds *holds, const struct larder_slice *masters,
                                     size_t count)
{
    size_t names_each = NAME_BYTES_BESIDE_MASTER + PREFIX_BYTES;
    size_t size = count * (2 * sizeof(struct larder_row) + names_each) + 1;
    for (size_t i = 0; i < count; i++)
        size += 2 * masters[i].length;
    holds->rows = malloc(size);
    if (holds->rows == NULL)
        return LARDER_NO_MEMORY;
    holds->count = 0;
    holds->names = (char *)(holds->rows + 2 * count);
    holds->names_used = 0;
    return LARDER_OK;
}

static void holds_close(struct holds *holds)
{
    free(holds->rows);
}

static void hold(struct holds *holds, struct larder_slice name)
{
    versioned_row_start(&holds->rows[holds->count++], name);
    holds->names_used += name.length;
}

static enum larder_status hold_on(struct holds *holds, struct larder_cache *cache,
                                  struct larder_slice master, struct larder_slice key,
                                  int64_t ttl_ms)
{
    struct workspace work;
    enum larder_status status = work_open(&work, cache, master, 1);
    if (status != LARDER_OK)
        return status;
    work.wires[0].key = key;
    status = wire_all(&work, 1, ttl_ms);
    uint64_t number = work.wires[0].number;
    work_close(&work);
    if (status != LARDER_OK || number == 0)
        return status;
    hold(holds, slot_name(holds->names + holds->names_used, number, master));
    hold(holds, counter_name(holds->names + holds->names_used, master));
    return LARDER_OK;
}

static int same_bytes(struct larder_slice left, struct larder_slice right)
{
    return left.length == right.length && memcmp(left.data, right.data, left.length) == 0;
}

static int is_held(const struct larder_row *slot, struct larder_slice key)
{
    return !is_missing(slot->status) &&
           (slot->status != LARDER_OK || same_bytes(slot->value.bytes, key));
}

/* s5. CONFLICT: a slot is gone. */
static enum larder_status still_held(struct holds *holds, struct larder_cache *cache,
                                     struct larder_slice key)
{
    enum larder_status worst = LARDER_OK;
    (void)larder_get_multi(cache, holds->rows, holds->count);
    for (size_t i = 0; i < holds->count; i++)
        worst = worse(worst, guard_status(&holds->rows[i]));
    for (size_t i = 0; i < holds->count; i += 2)
        if (!is_held(&holds->rows[i], key))
            worst = worse(worst, LARDER_CONFLICT);
    larder_rows_release(holds->rows, holds->count);
    return worst;
}

static enum larder_status store_held(struct holds *holds, struct larder_cache *cache,
                                     struct larder_slice key, const struct larder_write *write)
{
    enum larder_status status = larder_store(cache, LARDER_SET, key, write, NULL);
    if (status != LARDER_OK)
        return status;
    status = still_held(holds, cache, key);
    if (status != LARDER_OK && larder_invalidate(cache, key) != LARDER_OK)
        return LARDER_UNKNOWN;
    return status;
}

static enum larder_status wire_and_store(struct larder_cache *cache, struct larder_slice key,
                                         const struct larder_write *write,
                                         const struct larder_slice *masters, size_t count,
                                         int64_t ttl_ms)
{
    struct holds holds;
    enum larder_status status = holds_open(&holds, masters, count);
    if (status != LARDER_OK)
        return status;
    for (size_t i = 0; status == LARDER_OK && i < count; i++)
        status = hold_on(&holds, cache, masters[i], key, ttl_ms);
    if (status == LARDER_OK)
        status = store_held(&holds, cache, key, write);
    holds_close(&holds);
    return status;
}

enum larder_status larder_dependency_set(struct larder_cache *cache, struct larder_slice key,
                                         const struct larder_write *write,
                                         const struct larder_slice *masters, size_t count,
                                         int64_t wire_ttl_ms)
{
    enum larder_status status = check_cache(cache);
    if (status == LARDER_OK)
        status = check_keys(&key, 1);
    if (status == LARDER_OK && (write == NULL || count > LARDER_DEPENDENCY_MASTERS_MAX ||
                                !is_ttl(write->ttl_ms) || !is_ttl(wire_ttl_ms)))
        status = LARDER_BAD_ARGUMENT;
    if (status == LARDER_OK)
        status = check_masters(masters, count);
    if (status != LARDER_OK)
        return status;
    return wire_and_store(cache, key, write, masters, count, wire_ttl_ms);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* OK, or MISS with *handed_out 0. A version of 0 can't guard the counter: the server has cas off.
 */
static enum larder_status read_counter(struct workspace *work, uint64_t *handed_out,
                                       uint64_t *version)
{
    char text[2 * LARDER_COUNTER_BYTES_MAX]; /* digits, then perhaps spaces */
    struct larder_info info = {.want = LARDER_WANT_VERSION};
    uint64_t counter = 0;
    *handed_out = 0;
    enum larder_status status = larder_read(work->cache, work->counter, text, sizeof(text), &info);
    if (status == LARDER_ABSENT)
        return LARDER_MISS;
    if (status == LARDER_PARTIAL)
        return LARDER_NOT_A_NUMBER;
    if (status != LARDER_OK)
        return status;
    if (!larder_counter_parse(larder_bytes(text, info.length), &counter))
        return LARDER_NOT_A_NUMBER;
    *handed_out = counter & NUMBER_MASK;
    if (*handed_out > LARDER_DEPENDENCY_WIRES_MAX)
        *handed_out = LARDER_DEPENDENCY_WIRES_MAX; /* adds that were refused counted too */
    *version = info.version;
    return info.version != 0 ? LARDER_OK : LARDER_UNSUPPORTED;
}

/* A slot's row names a key; anything else in it is not ours. */
static int names_key(const struct larder_row *slot)
{
    return slot->status == LARDER_OK && is_key(slot->value.bytes);
}

static int is_answer(enum larder_status status)
{
    return status == LARDER_OK || is_missing(status);
}

/* The last number of the batch that starts at `first`: up to a few beyond what the counter says,
 * and once past it a whole batch. */
static uint64_t batch_end(uint64_t first, uint64_t handed_out)
{
    uint64_t last = first + BATCH - 1;
    if (first <= handed_out && last > handed_out + BEYOND)
        last = handed_out + BEYOND;
    return last < LARDER_DEPENDENCY_WIRES_MAX ? last : LARDER_DEPENDENCY_WIRES_MAX;
}

/* d2, for one batch. Rows that could not be read make the worst status; the others can be used. A
 * slot without a version can't: deleting it could take somebody's new wire. */
static enum larder_status read_slots(struct workspace *work, uint64_t first, size_t count)
{
    enum larder_status worst = LARDER_OK;
    for (size_t i = 0; i < count; i++)
        versioned_row_start(&work->slots[i], work_slot_name(work, i, first + i));
    (void)larder_get_multi(work->cache, work->slots, count);
    for (size_t i = 0; i < count; i++) {
        enum larder_status status = guard_status(&work->slots[i]);
        if (status != LARDER_OK)
            work->slots[i].status = status;
        worst = worse(worst, status);
    }
    return worst;
}

static int any_beyond(const struct workspace *work, uint64_t first, size_t count,
                      uint64_t handed_out)
{
    for (size_t i = 0; i < count; i++)
        if (first + i > handed_out && names_key(&work->slots[i]))
            return 1;
    return 0;
}

/* What is done with a batch of slots that was read. @return OK to go on */
typedef enum larder_status batch_fn(struct workspace *work, uint64_t first, size_t count,
                                    void *context);

/* Reads all slots, batch by batch, until the counter is passed and a whole run was missing. */
static enum larder_status scan(struct workspace *work, uint64_t handed_out, batch_fn *use,
                               void *context)
{
    uint64_t last = 0;
    int more = 1;
    while (more) {
        uint64_t first = last + 1;
        last = batch_end(first, handed_out);
        size_t count = (size_t)(last - first + 1);
        enum larder_status status = read_slots(work, first, count);
        more = last < handed_out + BEYOND || any_beyond(work, first, count, handed_out);
        more = more && last < LARDER_DEPENDENCY_WIRES_MAX;
        enum larder_status used = use(work, first, count, context);
        larder_rows_release(work->slots, count);
        if (worse(status, used) != LARDER_OK)
            return worse(status, used);
    }
    return LARDER_OK;
}

/* ---- listing ------------------------------------------------------------------------------- */

struct listing {
    larder_dependency_key_fn *visit;
    void *context;
    int ended;
};

static enum larder_status list_batch(struct workspace *work, uint64_t first, size_t count,
                                     void *context)
{
    struct listing *listing = context;
    (void)first;
    for (size_t i = 0; i < count && !listing->ended; i++)
        if (names_key(&work->slots[i]))
            listing->ended = listing->visit(listing->context, work->slots[i].value.bytes) != 0;
    return listing->ended ? LARDER_EXISTS : LARDER_OK;
}

static enum larder_status list_wires(struct workspace *work, struct listing *listing)
{
    uint64_t handed_out = 0;
    uint64_t version = 0;
    enum larder_status status = read_counter(work, &handed_out, &version);
    if (status != LARDER_OK && status != LARDER_MISS)
        return status;
    status = scan(work, handed_out, list_batch, listing);
    return listing->ended ? LARDER_OK : status;
}

enum larder_status larder_dependency_keys(struct larder_cache *cache, struct larder_slice master,
                                          larder_dependency_key_fn *visit, void *context)
{
    struct workspace work;
    struct listing listing = {visit, context, 0};
    enum larder_status status = check_cache(cache);
    if (status == LARDER_OK)
        status = visit != NULL ? check_masters(&master, 1) : LARDER_BAD_ARGUMENT;
    if (status == LARDER_OK)
        status = work_open(&work, cache, master, BATCH);
    if (status != LARDER_OK)
        return status;
    status = list_wires(&work, &listing);
    work_close(&work);
    return status;
}

/* ---- deleting ------------------------------------------------------------------------------ */

struct removal {
    struct larder_dependency_result *result;
    uint64_t handed_out;
    uint64_t counted; /* numbers up to here were looked at for losses in an earlier round */
};

/* The wires of a batch; what is not there, though its number was handed out, is lost. */
static size_t collect(struct workspace *work, uint64_t first, size_t count, struct removal *removal)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct larder_row *slot = &work->slots[i];
        uint64_t number = first + i;
        if (names_key(slot)) {
            struct wire wire = {slot->value.bytes, number, 0};
            work->wires[found++] = wire;
        } else if (is_answer(slot->status) && number > removal->counted &&
                   number <= removal->handed_out) {
            removal->result->lost++;
        }
    }
    return found;
}

/* d3 and d5. Wires whose key could not be deleted leave the list, so that their slots stay. */
static enum larder_status delete_keys(struct workspace *work, size_t *count)
{
    enum larder_status worst = LARDER_OK;
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        row_start(&work->rows[i], work->wires[i].key);
    (void)larder_delete_multi(work->cache, work->rows, *count);
    for (size_t i = 0; i < *count; i++) {
        enum larder_status status = work->rows[i].status;
        if (status != LARDER_OK && status != LARDER_MISS) {
            worst = worse(worst, status);
            continue;
        }
        work->wires[kept] = work->wires[i];
        work->wires[kept++].was_there |= status == LARDER_OK;
    }
    *count = kept;
    return worst;
}

/* d4. A slot that is another one by now is somebody's new wire: it stays, and so does its counter.
 */
static enum larder_status delete_slots(struct workspace *work, uint64_t first, size_t count)
{
    enum larder_status worst = LARDER_OK;
    for (size_t i = 0; i < count; i++) {
        const struct larder_row *slot = &work->slots[work->wires[i].number - first];
        row_start(&work->rows[i], slot->key)->write.version = slot->value.info.version;
    }
    (void)larder_delete_multi(work->cache, work->rows, count);
    for (size_t i = 0; i < count; i++) {
        enum larder_status status = work->rows[i].status;
        if (status != LARDER_MISS && status != LARDER_CONFLICT)
            worst = worse(worst, status);
    }
    return worst;
}

static enum larder_status drop_batch(struct workspace *work, uint64_t first, size_t count,
                                     void *context)
{
    struct removal *removal = context;
    size_t found = collect(work, first, count, removal);
    enum larder_status worst = delete_keys(work, &found);
    worst = worse(worst, delete_slots(work, first, found));
    worst = worse(worst, delete_keys(work, &found));
    for (size_t i = 0; i < found; i++)
        if (work->wires[i].was_there)
            removal->result->dropped++;
        else
            removal->result->missing++;
    return worst;
}

/* d1 to d6. CONFLICT: somebody wired meanwhile. */
static enum larder_status drop_round(struct workspace *work, struct removal *removal)
{
    uint64_t version = 0;
    enum larder_status counter = read_counter(work, &removal->handed_out, &version);
    if (counter != LARDER_OK && counter != LARDER_MISS)
        return counter;
    enum larder_status status = scan(work, removal->handed_out, drop_batch, removal);
    if (removal->counted < removal->handed_out)
        removal->counted = removal->handed_out;
    if (status != LARDER_OK || counter == LARDER_MISS)
        return status;
    status = larder_delete(work->cache, work->counter, version);
    return status == LARDER_MISS ? LARDER_OK : status;
}

static enum larder_status drop_master(struct larder_cache *cache, struct larder_slice master,
                                      struct larder_dependency_result *result)
{
    struct workspace work;
    struct removal removal = {result, 0, 0};
    enum larder_status status = work_open(&work, cache, master, BATCH);
    if (status != LARDER_OK)
        return status;
    status = LARDER_CONFLICT;
    for (unsigned round = 0; status == LARDER_CONFLICT && round < ROUNDS_MAX; round++) {
        result->rounds++;
        status = drop_round(&work, &removal);
    }
    work_close(&work);
    return status;
}

enum larder_status larder_dependency_delete(struct larder_cache *cache, struct larder_slice master,
                                            struct larder_dependency_result *result)
{
    return larder_dependency_delete_multi(cache, &master, 1, result);
}

enum larder_status larder_dependency_delete_multi(struct larder_cache *cache,
                                                  const struct larder_slice *masters, size_t count,
                                                  struct larder_dependency_result *result)
{
    struct larder_dependency_result sum = {0};
    enum larder_status status = check_cache(cache);
    if (status == LARDER_OK)
        status = check_masters(masters, count);
    if (status == LARDER_OK)
        for (size_t i = 0; i < count; i++)
            status = worse(status, drop_master(cache, masters[i], &sum));
    if (result != NULL)
        *result = sum;
    return status;
}
