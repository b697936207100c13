/*
 * S3-FIFO on a log of segments, with a memory: the model of what the memory cache does, to compare
 * it with.
 *
 * Objects lie in segments of two queues, small and main; the oldest segment is looked through as a
 * whole, and what survives is appended to main. Three things differ from S3-FIFO:
 *
 * - The ghost remembers also what main dropped, and for each object a history: how often it came
 *   back, and how long it lasted. Back from the ghost, or with two hits in small, an object gets
 *   into main only when its history reaches the level times what main's victims have on average.
 * - The level follows regret: refusals that were asked for again lower it, objects that main had
 *   dropped and that were asked for again raise it. Each moves it by 12 / entries.
 * - So does the small queue's share of the room: what left small not long ago and is asked for
 *   again widens it, what left main narrows it: by 1 / entries, and the more the rarer its kind is
 *   in the ghost.
 *
 * A hit only counts up to 3; all else happens when something is taken in or looked through.
 */
#include "ghost.h"
#include "lists.h"

#include <stdlib.h>

#define SEGMENTS 256
#define HITS_MOST 3
#define HITS_TO_PROMOTE 2
#define LEVEL_MOST 1.5
#define LEVEL_STEPS 12.0 /* divided by the entries */
#define GUARD_PERIOD 256.0
#define YOUNG 3 /* an age below is among the youngest tenth of the ghost */
#define SHARE_FIRST 0.1
#define SHARE_LEAST 0.01
#define SHARE_MOST 0.25
#define WEIGHT_MOST 50.0
#define PATIENCE 16     /* segments looked through for one object before small pays */
#define PATIENCE_END 32 /* before main pays, with a quarter of each segment */

enum { SMALL = 1, MAIN };

struct segments {
    struct lists lists;
    struct ghost ghost;
    struct about {
        uint8_t hits, history, refused;
    } * about;
    uint64_t capacity, segment;
    double entries;
    double level, guard, share; /* share: of the capacity */
    double left[GHOST_KINDS];   /* lately, by kind */
};

static void segments_close(void *self)
{
    struct segments *segments = self;
    lists_clean_up(&segments->lists);
    ghost_clean_up(&segments->ghost);
    free(segments->about);
    free(segments);
}

static void *segments_open(const struct policy_input *input)
{
    struct segments *segments = calloc(1, sizeof(*segments));
    if (segments == NULL)
        return NULL;
    segments->capacity = input->capacity;
    segments->segment = input->capacity / SEGMENTS;
    segments->entries = input->entries;
    segments->level = 1;
    segments->share = SHARE_FIRST;
    for (unsigned i = 0; i < GHOST_KINDS; i++)
        segments->left[i] = 1;
    segments->about = calloc(input->objects, sizeof(*segments->about));
    int lists = lists_init(&segments->lists, input);
    int ghost = ghost_init(&segments->ghost, 2 * (uint64_t)input->entries);
    if (lists && ghost && segments->about != NULL)
        return segments;
    segments_close(segments);
    return NULL;
}

/* ---- what is looked through ---------------------------------------------------------------- */

static void add_history(struct about *about, unsigned more)
{
    unsigned sum = about->history + more;
    about->history = (uint8_t)(sum < GHOST_HISTORY_MOST ? sum : GHOST_HISTORY_MOST);
}

static int is_welcome(const struct segments *segments, const struct about *about)
{
    return about->history >= segments->level * segments->guard;
}

static void drop(struct segments *segments, uint32_t object, enum ghost_kind kind)
{
    struct ghost_entry entry = {.kind = kind, .history = segments->about[object].history};
    double *left = segments->left;
    ghost_put(&segments->ghost, object, &entry);
    left[kind]++;
    if (left[GHOST_COLD] + left[GHOST_REFUSED] + left[GHOST_DROPPED] > segments->entries / 5)
        for (unsigned i = 0; i < GHOST_KINDS; i++)
            left[i] /= 2;
}

static void decide_in_small(struct segments *segments, uint32_t object)
{
    struct about *about = &segments->about[object];
    int candidate = about->hits >= HITS_TO_PROMOTE;
    add_history(about, about->hits);
    if (candidate && is_welcome(segments, about)) {
        about->hits = 0;
        lists_push(&segments->lists, MAIN, object);
    } else {
        drop(segments, object, candidate || about->refused ? GHOST_REFUSED : GHOST_COLD);
    }
}

/* least: hits that save it */
static void decide_in_main(struct segments *segments, uint32_t object, unsigned least)
{
    struct about *about = &segments->about[object];
    if (about->hits >= least) {
        about->hits--;
        add_history(about, 1);
        lists_push(&segments->lists, MAIN, object);
        return;
    }
    if (about->hits == 0)
        segments->guard += (about->history - segments->guard) / GUARD_PERIOD;
    drop(segments, object, GHOST_DROPPED);
}

/* The fewest hits by which at most three quarters of the oldest segment's weight survive. */
static unsigned least_hits(const struct segments *segments)
{
    uint64_t with[HITS_MOST + 1] = {0}, seen = 0;
    uint32_t object = segments->lists.list[MAIN].oldest;
    while (object != LISTS_NONE && (seen < segments->segment || seen == 0)) {
        with[segments->about[object].hits] += segments->lists.weights[object];
        seen += segments->lists.weights[object];
        object = segments->lists.links[object].newer;
    }
    unsigned least = 1;
    for (uint64_t survive = seen - with[0]; survive > seen * 3 / 4 && least <= HITS_MOST; least++)
        survive -= with[least];
    return least;
}

static void look_through(struct segments *segments, unsigned queue, unsigned least)
{
    uint64_t seen = 0;
    do {
        uint32_t object = lists_pop(&segments->lists, queue);
        seen += segments->lists.weights[object];
        if (queue == SMALL)
            decide_in_small(segments, object);
        else
            decide_in_main(segments, object, least);
    } while (seen < segments->segment && segments->lists.list[queue].weight > 0);
}

static void make_room(struct segments *segments, uint32_t weight)
{
    const struct list *small = &segments->lists.list[SMALL], *main = &segments->lists.list[MAIN];
    for (unsigned seen = 0; small->weight + main->weight + weight > segments->capacity; seen++) {
        int from_small = (double)small->weight >= segments->share * (double)segments->capacity ||
                         (seen >= PATIENCE && seen < PATIENCE_END) || main->weight == 0;
        if (from_small && small->weight > 0)
            look_through(segments, SMALL, 0);
        else
            look_through(segments, MAIN, seen < PATIENCE_END ? 1 : least_hits(segments));
    }
}

/* ---- what is taken in ---------------------------------------------------------------------- */

static double within(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

static void learn(struct segments *segments, const struct ghost_entry *entry)
{
    double step = LEVEL_STEPS / segments->entries;
    if (entry->kind != GHOST_COLD)
        segments->level =
            within(segments->level + (entry->kind == GHOST_DROPPED ? step : -step), 0, LEVEL_MOST);
    if (entry->age >= YOUNG)
        return;
    const double *left = segments->left;
    double ratio = (left[GHOST_COLD] + left[GHOST_REFUSED]) / left[GHOST_DROPPED];
    double change = entry->kind == GHOST_DROPPED ? -within(ratio, 1, WEIGHT_MOST)
                                                 : within(1 / ratio, 1, WEIGHT_MOST);
    segments->share = within(segments->share + change / segments->entries, SHARE_LEAST, SHARE_MOST);
}

static void take_in(struct segments *segments, uint32_t object)
{
    uint32_t weight = segments->lists.weights[object];
    struct ghost_entry entry = {0};
    int known = ghost_take(&segments->ghost, object, &entry);
    struct about *about = &segments->about[object];
    *about = (struct about){.history = (uint8_t)entry.history};
    add_history(about, 1);
    make_room(segments, weight);
    if (known)
        learn(segments, &entry);
    int to_main = known && is_welcome(segments, about);
    about->refused = known && !to_main;
    lists_push(&segments->lists, to_main ? MAIN : SMALL, object);
}

static int segments_ask(void *self, uint32_t object, size_t request)
{
    struct segments *segments = self;
    (void)request;
    if (segments->lists.place[object] == LISTS_OUT) {
        take_in(segments, object);
        return 0;
    }
    struct about *about = &segments->about[object];
    if (about->hits < HITS_MOST)
        about->hits++;
    return 1;
}

const struct policy policy_segments = {"Segments", "S3-FIFO on a log of segments, with a memory",
                                       segments_open, segments_ask, segments_close};
