/*
 * Figures of reads that no throughput tells, each a line "what TAB value":
 *
 * chain_ns, chain_bare_ns   nanoseconds of one read whose key depends on the value before it, so
 *                           that no two overlap: in a memory cache, and in a bare table that does
 *                           what any table of items of any length has to, an index line and then
 *                           the item, and nothing else
 * chain_ratio               the first over the second
 * view_100, view_65536      larder_get() and release per second over larder_read(), for values of
 * so many bytes, 1,000 keys
 *
 * Medians over rounds in which both take turns. read-figures [URI options]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/larder.h>

#include "figures.h"
#include "moment.h"

#define ITEMS 1000000u
#define STEPS 500000u
#define ROUNDS 15
#define KEY_BYTES 32
#define VALUE_BYTES 100

static const char *more_options = "";

static struct larder_cache *open_cache(void)
{
    return open_memory("max_bytes=4G", more_options);
}

/* Made of the number alone: to look it up would be a second chain. */
static void make_key(uint32_t number, char key[KEY_BYTES])
{
    for (size_t i = 0; i < KEY_BYTES; i += sizeof(number))
        memcpy(key + i, &number, sizeof(number));
}

/* ---- the bare table -------------------------------------------------------------------------- */

#define LINE_SLOTS 12
#define LINES \
    (1u << 18) /* about four of twelve slots are in use; few lines overflow, to the next */

struct bare_item {
    char key[KEY_BYTES], value[VALUE_BYTES];
};

static struct {
    struct bare_line {
        uint8_t tags[16];
        uint32_t locations[LINE_SLOTS];
    } * lines;
    struct bare_item *items;
} bare;

static uint64_t bare_hash(const char *key)
{
    uint64_t words[KEY_BYTES / 8], hash = 0;
    memcpy(words, key, sizeof(words));
    for (size_t i = 0; i < KEY_BYTES / 8; i++)
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static uint8_t bare_tag(uint64_t hash)
{
    return (uint8_t)(hash >> 56 | 1);
}

static void bare_store(uint32_t number, const char *key, const char *value)
{
    uint64_t hash = bare_hash(key), slot = hash % LINES * LINE_SLOTS;
    while (bare.lines[slot / LINE_SLOTS].tags[slot % LINE_SLOTS] != 0)
        slot = (slot + 1) % (LINES * LINE_SLOTS);
    bare.lines[slot / LINE_SLOTS].tags[slot % LINE_SLOTS] = bare_tag(hash);
    bare.lines[slot / LINE_SLOTS].locations[slot % LINE_SLOTS] = number;
    memcpy(bare.items[number].key, key, KEY_BYTES);
    memcpy(bare.items[number].value, value, VALUE_BYTES);
}

/* @return 0: there is no such key */
static int bare_read(const char *key, char *value)
{
    uint64_t hash = bare_hash(key), number = hash % LINES;
    for (;; number = (number + 1) % LINES) {
        const struct bare_line *line = &bare.lines[number];
        for (int i = 0; i < LINE_SLOTS; i++) {
            const struct bare_item *item = &bare.items[line->locations[i]];
            if (line->tags[i] == 0)
                return 0;
            if (line->tags[i] == bare_tag(hash) && memcmp(item->key, key, KEY_BYTES) == 0) {
                memcpy(value, item->value, VALUE_BYTES);
                return 1;
            }
        }
    }
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* One cycle through all numbers (Sattolo, "An algorithm to generate a random cyclic permutation",
 * 1986). */
static uint32_t *make_cycle(void)
{
    uint32_t *next = malloc(ITEMS * sizeof(*next));
    uint64_t state = 1;
    if (next == NULL)
        give_up("malloc");
    for (uint32_t i = 0; i < ITEMS; i++)
        next[i] = i;
    for (uint32_t i = ITEMS - 1; i > 0; i--) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint32_t other = (uint32_t)((state >> 33) % i), number = next[i];
        next[i] = next[other];
        next[other] = number;
    }
    return next;
}

static void load(struct larder_cache *cache)
{
    uint32_t *next = make_cycle();
    bare.lines =
        aligned_alloc(sizeof(*bare.lines), LINES * sizeof(*bare.lines)); /* lines of a cache */
    bare.items = calloc(ITEMS, sizeof(*bare.items));
    if (bare.lines == NULL || bare.items == NULL)
        give_up("calloc");
    memset(bare.lines, 0, LINES * sizeof(*bare.lines));
    for (uint32_t i = 0; i < ITEMS; i++) {
        char key[KEY_BYTES], value[VALUE_BYTES] = {0};
        make_key(i, key);
        memcpy(value, &next[i], sizeof(next[i]));
        bare_store(i, key, value);
        if (larder_set(cache, larder_bytes(key, sizeof(key)), larder_bytes(value, sizeof(value)),
                       0) != LARDER_OK)
            give_up("set");
    }
    free(next);
}

/* @param cache  NULL: the bare table @return nanoseconds of a step */
static double walk(struct larder_cache *cache, uint32_t number)
{
    uint64_t begin_ns = moment_ns();
    for (uint32_t i = 0; i < STEPS; i++) {
        char key[KEY_BYTES], value[VALUE_BYTES];
        make_key(number, key);
        if (cache != NULL ? larder_read(cache, larder_bytes(key, sizeof(key)), value, sizeof(value),
                                        NULL) != LARDER_OK
                          : !bare_read(key, value))
            give_up("read");
        memcpy(&number, value, sizeof(number));
    }
    return (double)(moment_ns() - begin_ns) / STEPS;
}

/* ---- medians --------------------------------------------------------------------------------- */

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof(*values), compare);
    return values[ROUNDS / 2];
}

static void figures_of_chain(void)
{
    double ours[ROUNDS], bares[ROUNDS], ratios[ROUNDS];
    struct larder_cache *cache = open_cache();
    load(cache);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        ours[i] = walk(cache, i * 1000);
        bares[i] = walk(NULL, i * 1000);
        ratios[i] = ours[i] / bares[i];
    }
    printf("chain_ns\t%.1f\nchain_bare_ns\t%.1f\n", median(ours), median(bares));
    printf("chain_ratio\t%.3f\n", median(ratios));
    larder_close(cache);
    free(bare.lines);
    free(bare.items);
}

/* ---- views ----------------------------------------------------------------------------------- */

#define VIEW_KEYS 1000u

static void view_one(struct larder_cache *cache, struct larder_slice key)
{
    struct larder_value value = {0};
    if (larder_get(cache, key, &value) != LARDER_OK)
        give_up("get");
    larder_value_release(&value);
}

/* @return nanoseconds of a call */
static double read_all(struct larder_cache *cache, char *buffer, size_t size, int view)
{
    uint32_t calls = size > 4096 ? 20 * VIEW_KEYS : 1000 * VIEW_KEYS;
    uint64_t begin_ns = moment_ns();
    for (uint32_t i = 0; i < calls; i++) {
        char key[KEY_BYTES];
        make_key(i % VIEW_KEYS, key);
        if (view)
            view_one(cache, larder_bytes(key, sizeof(key)));
        else if (larder_read(cache, larder_bytes(key, sizeof(key)), buffer, size, NULL) !=
                 LARDER_OK)
            give_up("read");
    }
    return (double)(moment_ns() - begin_ns) / calls;
}

static void figures_of_views(size_t size)
{
    double ratios[ROUNDS];
    struct larder_cache *cache = open_cache();
    char *buffer = calloc(1, size);
    if (buffer == NULL)
        give_up("calloc");
    for (uint32_t i = 0; i < VIEW_KEYS; i++) {
        char key[KEY_BYTES];
        make_key(i, key);
        if (larder_set(cache, larder_bytes(key, sizeof(key)), larder_bytes(buffer, size), 0) !=
            LARDER_OK)
            give_up("set");
    }
    for (int i = 0; i < ROUNDS; i++)
        ratios[i] = read_all(cache, buffer, size, 0) / read_all(cache, buffer, size, 1);
    printf("view_%zu\t%.3f\n", size, median(ratios));
    free(buffer);
    larder_close(cache);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        more_options = argv[1];
    figures_of_chain();
    figures_of_views(VALUE_BYTES);
    figures_of_views(65536);
    return 0;
}
