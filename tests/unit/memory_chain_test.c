/* memory: buckets of the index that are full, and the overflow buckets behind them. */
#include <larder/larder.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "dice.h"
#include "handle.h"
#include "memory.h"
#include "sanitizer.h"
#include "stats.h"

static struct larder_cache *open_memory(const char *uri)
{
    struct larder_cache *cache = NULL;
    char message[256] = "";
    assert_int_equal(larder_open(uri, NULL, &cache, message, sizeof(message)), LARDER_OK);
    return cache;
}

struct name {
    char bytes[32];
};

static struct larder_slice name_of(struct name *name, unsigned number)
{
    snprintf(name->bytes, sizeof(name->bytes), "an entry's key, %u", number);
    return larder_text(name->bytes);
}

static enum larder_status set(struct larder_cache *cache, unsigned number)
{
    struct name name;
    return larder_set(cache, name_of(&name, number), larder_bytes(&number, sizeof(number)), 0);
}

/* ---- how many there are ---------------------------------------------------------------------- */

static void fill(struct larder_cache *cache, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++)
        assert_int_equal(set(cache, i), LARDER_OK);
}

/* By chance every bucket is full at some time. */
static void a_full_cache_holds_as_much_however_long_it_is_written_to(void **state)
{
    enum { AT_FIRST = 150000, LATER = HAS_THREAD_SANITIZER ? 600000 : 1500000 };
    struct larder_cache *cache = open_memory("memory:?max_bytes=4M&huge_pages=off");
    (void)state;
    fill(cache, 0, AT_FIRST);
    uint64_t items = stat_of(cache, "items"), index_bytes = stat_of(cache, "index_bytes");
    assert_true(items > 30000 && items < AT_FIRST / 2);
    fill(cache, AT_FIRST, LATER);
    assert_true(stat_of(cache, "items") >= items - items / 50);
    assert_true(stat_of(cache, "index_bytes") <= index_bytes + index_bytes / 20);
    larder_close(cache);
}

static void what_is_deleted_leaves_no_chain_behind(void **state)
{
    enum { ALL = 60000, ROUNDS = HAS_THREAD_SANITIZER ? 4 : 30 };
    struct larder_cache *cache = open_memory("memory:?max_bytes=64M&huge_pages=off");
    struct name name;
    (void)state;
    fill(cache, 0, ALL);
    uint64_t index_bytes = stat_of(cache, "index_bytes");
    for (unsigned i = 0; i < ROUNDS * ALL; i++) { /* the oldest goes, a new one comes */
        assert_int_equal(larder_delete(cache, name_of(&name, i), 0), LARDER_OK);
        assert_int_equal(set(cache, i + ALL), LARDER_OK);
    }
    assert_true(stat_of(cache, "index_bytes") <= index_bytes + index_bytes / 5);
    for (unsigned i = ROUNDS * ALL; i < (ROUNDS + 1) * ALL; i++) {
        unsigned value = 0;
        assert_int_equal(larder_read(cache, name_of(&name, i), &value, sizeof(value), NULL),
                         LARDER_OK);
        assert_int_equal(value, i);
    }
    larder_close(cache);
}

/* ---- a reader beside it, step by step ---------------------------------------------------------
 */

#define PLACES 20000u

/* Of a cache whose index nobody else changes. */
struct place {
    struct name name;
    struct key key;
    struct slot slot;
    const struct bucket *first; /* where it is looked for first */
};

static bool find_place(struct memory *memory, struct place *place, unsigned number)
{
    struct index *index = larder__index(memory);
    struct larder_slice name = name_of(&place->name, number);
    uint64_t hash = larder__hash(&memory->hash_key, name.data, name.length, 0);
    place->key = (struct key){name.data, name.length, hash, 0};
    place->first = larder__index_bucket(index, larder__index_shape(index), hash);
    return larder__slot_find(index, &memory->arena, &place->key, &place->slot) != NULL;
}

/* An entry that is the next to move up, from `*from` on. */
static bool find_behind(struct memory *memory, struct place *behind, unsigned *from)
{
    while (*from < PLACES)
        if (find_place(memory, behind, (*from)++) && behind->slot.bucket != behind->first &&
            behind->slot.number == 0 && !larder__bucket_has_more(behind->slot.bucket))
            return true;
    return false;
}

/* One in the bucket that is full. */
static void find_within(struct memory *memory, struct place *within, const struct bucket *bucket)
{
    unsigned i = 0;
    while (i < PLACES && (!find_place(memory, within, i) || within->slot.bucket != bucket))
        i++;
    assert_true(i < PLACES);
}

/* It looks into the bucket, and at the chain; then the entry moves; then it goes on. */
static void read_beside_a_move(struct larder_cache *cache, struct memory *memory,
                               const struct place *behind)
{
    struct place within;
    const struct arena *arena = &memory->arena;
    const struct index *index = larder__index(memory);
    find_within(memory, &within, behind->first);
    struct outlook before = larder__index_outlook(index, behind->key.hash);
    assert_null(larder__index_find_first(arena, &behind->key, &before));
    assert_int_equal(larder_delete(cache, larder_text(within.name.bytes), 0), LARDER_OK);
    struct outlook after = larder__index_outlook(index, behind->key.hash);
    assert_non_null(larder__index_find_first(arena, &behind->key, &after));
    assert_non_null(larder__index_find_further(index, arena, &behind->key, &before));
}

static void a_reader_past_whom_an_entry_moved_looks_again(void **state)
{
    enum { TIMES = 30 };
    struct larder_cache *cache = open_memory("memory:?max_bytes=16M&huge_pages=off");
    struct memory *memory = larder__target(cache)->scope.self;
    struct place behind;
    unsigned from = 0;
    (void)state;
    fill(cache, 0, PLACES);
    for (int i = 0; i < TIMES; i++) {
        assert_true(find_behind(memory, &behind, &from));
        read_beside_a_move(cache, memory, &behind);
    }
    larder_close(cache);
}

#define SHARED_BITS 13u /* of hashes: more than an index of these few entries looks at */

/* Numbers of entries that are all looked for in one bucket, whatever is split. */
static void find_sharers(struct memory *memory, unsigned numbers[], unsigned count)
{
    struct place place;
    uint64_t shared = 0;
    unsigned found = 0;
    for (unsigned i = 0; found < count; i++) {
        (void)find_place(memory, &place, i);
        uint64_t bits = place.key.hash & ((UINT64_C(1) << SHARED_BITS) - 1);
        if (found == 0)
            shared = bits;
        if (bits == shared)
            numbers[found++] = i;
    }
}

static unsigned chain_length(struct memory *memory, unsigned number)
{
    struct place place;
    const struct index *index = larder__index(memory);
    (void)find_place(memory, &place, number);
    unsigned length = 0;
    for (const struct bucket *bucket = place.first; bucket != NULL; length++)
        bucket = larder__index_behind(index, bucket);
    return length;
}

/* From the front, from the end, and from amid it. */
static void a_chain_is_as_long_as_its_entries_need(void **state)
{
    enum { ALL = 40 };
    (void)state;
    for (unsigned start = 0; start < ALL; start += 13) {
        struct larder_cache *cache = open_memory("memory:?max_bytes=16M&huge_pages=off");
        struct memory *memory = larder__target(cache)->scope.self;
        unsigned numbers[ALL];
        struct name name;
        find_sharers(memory, numbers, ALL);
        for (unsigned i = 0; i < ALL; i++)
            assert_int_equal(set(cache, numbers[i]), LARDER_OK);
        for (unsigned left = ALL; left > 0; left--) {
            unsigned next = numbers[(start + ALL - left) % ALL];
            assert_int_equal(chain_length(memory, next), (left + BUCKET_SLOTS - 1) / BUCKET_SLOTS);
            assert_int_equal(larder_delete(cache, name_of(&name, next), 0), LARDER_OK);
        }
        larder_close(cache);
    }
}

/* ---- many at once ---------------------------------------------------------------------------- */

static void expect_number(const struct larder_row *row, unsigned number)
{
    unsigned value = 0;
    assert_int_equal(row->status, LARDER_OK);
    assert_int_equal(row->value.info.length, sizeof(value));
    memcpy(&value, row->buffer != NULL ? row->buffer : row->value.bytes.data, sizeof(value));
    assert_int_equal(value, number);
}

enum { ROWS = 150 }; /* more than two groups, and no whole number of steps */

/* Every third of them was never stored, every tenth has no key. */
static void read_rows(struct larder_cache *cache, unsigned first, bool views)
{
    struct larder_row rows[ROWS] = {0};
    struct name names[ROWS];
    unsigned values[ROWS];
    for (unsigned i = 0; i < ROWS; i++) {
        rows[i].key = name_of(&names[i], first + i + (i % 3 == 0 ? PLACES : 0));
        if (i % 10 == 5)
            rows[i].key.length = 0;
        rows[i].buffer = views ? NULL : &values[i];
        rows[i].size = views ? 0 : sizeof(values[i]);
    }
    (void)(views ? larder_get_multi(cache, rows, ROWS) : larder_read_multi(cache, rows, ROWS));
    for (unsigned i = 0; i < ROWS; i++) {
        if (i % 10 == 5)
            assert_int_equal(rows[i].status, LARDER_BAD_KEY);
        else if (i % 3 == 0)
            assert_int_equal(rows[i].status, LARDER_MISS);
        else
            expect_number(&rows[i], first + i);
        larder_value_release(&rows[i].value);
    }
}

static void of_many_at_once_each_is_found_wherever_it_is(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=16M&huge_pages=off");
    struct memory *memory = larder__target(cache)->scope.self;
    struct place behind;
    unsigned from = 0, chained = 0;
    (void)state;
    fill(cache, 0, PLACES);
    while (find_behind(memory, &behind, &from))
        chained++;
    assert_true(chained > 30);
    for (unsigned first = 0; first + ROWS <= PLACES; first += ROWS) {
        read_rows(cache, first, false);
        read_rows(cache, first, true);
    }
    larder_close(cache);
}

/* As a reader finds it whom a writer overtakes. */
static void a_tag_without_an_entry_is_a_miss(void **state)
{
    struct larder_cache *cache = open_memory("memory:?max_bytes=16M&huge_pages=off");
    struct memory *memory = larder__target(cache)->scope.self;
    struct place place;
    unsigned value = 0;
    (void)state;
    assert_int_equal(set(cache, 1), LARDER_OK);
    assert_true(find_place(memory, &place, 1));
    _Atomic uint32_t *location = &place.slot.bucket->locations[place.slot.number];
    uint32_t kept = atomic_exchange(location, 0);
    struct larder_row row = {
        .key = larder_text(place.name.bytes), .buffer = &value, .size = sizeof(value)};
    assert_int_equal(larder_read(cache, row.key, &value, sizeof(value), NULL), LARDER_MISS);
    larder_read_multi(cache, &row, 1);
    assert_int_equal(row.status, LARDER_MISS);
    atomic_store(location, kept);
    assert_int_equal(larder_read(cache, row.key, &value, sizeof(value), NULL), LARDER_OK);
    larder_read_multi(cache, &row, 1);
    expect_number(&row, 1);
    larder_close(cache);
}

/* ---- beside moves ---------------------------------------------------------------------------- */

/* One of the bucket that is full goes, another moves up, and the first comes again. */
static void move_one(struct larder_cache *cache, struct memory *memory, const unsigned numbers[])
{
    struct place place;
    while (find_place(memory, &place, *numbers) && place.slot.bucket != place.first)
        numbers++;
    assert_int_equal(larder_delete(cache, larder_text(place.name.bytes), 0), LARDER_OK);
    assert_int_equal(set(cache, *numbers), LARDER_OK);
}

/* So many that the sequence is what it was, from each of its numbers on. */
static void a_reader_sees_moves_though_a_sequence_came_round(void **state)
{
    enum { ALL = BUCKET_SLOTS + 1, ROUND = 256, GROWS = 1000 };
    struct larder_cache *cache = open_memory("memory:?max_bytes=16M&huge_pages=off");
    struct memory *memory = larder__target(cache)->scope.self;
    unsigned numbers[ALL];
    struct place place;
    (void)state;
    find_sharers(memory, numbers, ALL);
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(set(cache, numbers[i]), LARDER_OK);
    for (unsigned i = 0; i < GROWS; i++) /* until nothing is split any more */
        move_one(cache, memory, numbers);
    const struct index *index = larder__index(memory);
    assert_true(find_place(memory, &place, numbers[0]));
    for (unsigned begin = 0; begin < ROUND; begin++) {
        struct outlook before = larder__index_outlook(index, place.key.hash);
        for (unsigned i = 0; i < ROUND; i++)
            move_one(cache, memory, numbers);
        struct outlook after = larder__index_outlook(index, place.key.hash);
        assert_true(after.tags1 >> 32 == before.tags1 >> 32 && after.shape == before.shape);
        assert_true(after.era > before.era);
        move_one(cache, memory, numbers);
    }
    larder_close(cache);
}

/* ---- readers beside it ----------------------------------------------------------------------- */

#define NAMES 4000u
#define WRITERS 2u
#define READERS 2u
#define READS (3000000u / SLOWDOWN)

static struct larder_cache *shared;
/* How often an entry came or went; odd: it is there. Stored by its writer: after it came, before it
 * goes. */
static _Atomic unsigned turns[NAMES];
static _Atomic unsigned readers_left;

/* Each comes and goes, and so others of its bucket move. Of a writer those that are its own. */
static void *come_and_go(void *context)
{
    unsigned own = *(unsigned *)context;
    struct dice dice = {own + 1};
    size_t wrong = 0;
    while (atomic_load(&readers_left) > 0) {
        struct name name;
        unsigned number = (unsigned)roll(&dice, NAMES / WRITERS) * WRITERS + own;
        unsigned turn = atomic_load(&turns[number]);
        if (turn % 2 == 0) {
            enum larder_status status = set(shared, number);
            wrong += status != LARDER_OK && status != LARDER_NO_MEMORY; /* beside a reader off its
                                                                           processor */
            if (status == LARDER_OK)
                atomic_store(&turns[number], turn + 1);
        } else {
            atomic_store(&turns[number], turn + 1);
            wrong += larder_delete(shared, name_of(&name, number), 0) != LARDER_OK;
        }
    }
    return (void *)wrong;
}

static void *look_for_what_is_there(void *context)
{
    struct dice dice = {*(unsigned *)context + 101};
    size_t missed = 0;
    for (unsigned i = 0; i < READS; i++) {
        struct name name;
        unsigned value = NAMES, number = (unsigned)roll(&dice, NAMES);
        struct larder_slice key = name_of(&name, number);
        unsigned turn = atomic_load(&turns[number]);
        enum larder_status status = larder_read(shared, key, &value, sizeof(value), NULL);
        bool stayed = turn % 2 == 1 && atomic_load(&turns[number]) == turn;
        missed += (stayed && status != LARDER_OK) || (status == LARDER_OK && value != number);
    }
    atomic_fetch_sub(&readers_left, 1);
    return (void *)missed;
}

static void an_entry_that_stays_is_found_while_others_of_its_bucket_come_and_go(void **state)
{
    pthread_t threads[WRITERS + READERS];
    unsigned numbers[WRITERS + READERS];
    (void)state;
    shared = open_memory("memory:?max_bytes=1M&huge_pages=off&evict=off");
    atomic_store(&readers_left, READERS);
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i < WRITERS ? come_and_go : look_for_what_is_there,
                                        &numbers[i]),
                         0);
    }
    size_t wrong = 0;
    for (unsigned i = 0; i < WRITERS + READERS; i++) {
        void *seen;
        pthread_join(threads[i], &seen);
        wrong += (size_t)seen;
    }
    larder_close(shared);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_cache_holds_as_much_however_long_it_is_written_to),
        cmocka_unit_test(what_is_deleted_leaves_no_chain_behind),
        cmocka_unit_test(a_reader_past_whom_an_entry_moved_looks_again),
        cmocka_unit_test(a_chain_is_as_long_as_its_entries_need),
        cmocka_unit_test(of_many_at_once_each_is_found_wherever_it_is),
        cmocka_unit_test(a_tag_without_an_entry_is_a_miss),
        cmocka_unit_test(a_reader_sees_moves_though_a_sequence_came_round),
        cmocka_unit_test(an_entry_that_stays_is_found_while_others_of_its_bucket_come_and_go),
    };
    return cmocka_run_group_tests_name("memory_chain", tests, NULL, NULL);
}
