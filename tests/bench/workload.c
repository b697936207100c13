#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS_MOST (UINT32_C(1) << 21)
#define DRAWS_LEAST (UINT32_C(1) << 14)
#define DRAWS_PER_KEY 64u                       /* more than that tell nothing new */
#define STREAM_BYTES_MOST (UINT64_C(256) << 20) /* the keys of all threads' draws, laid out */
#define GUIDES 65536u

/* Which key has which rank, and how likely the ranks are: only while drawing. */
struct popularity {
    uint32_t keys;
    uint32_t *key_of_rank;
    double *cumulated;
    uint32_t *guide; /* the first rank whose cumulated share reaches i / GUIDES */
};

uint64_t workload_random(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

void workload_key(uint32_t number, size_t length, char *text)
{
    char digits[17];
    if (length < 16) { /* too short for random digits never to meet */
        snprintf(digits, sizeof(digits), "%016x", (unsigned)number);
        memcpy(text, digits + 16 - length, length);
        return;
    }
    uint64_t state = (uint64_t)number * 2 + 1;
    for (size_t done = 0; done < length; done += 16) {
        snprintf(digits, sizeof(digits), "%016llx", (unsigned long long)workload_random(&state));
        memcpy(text + done, digits, length - done < 16 ? length - done : 16);
    }
}

/* Popular keys lie scattered among the others, not side by side. */
static void shuffle(uint32_t *numbers, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = i;
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(workload_random(&seed) % (i + 1));
        uint32_t number = numbers[i];
        numbers[i] = numbers[other];
        numbers[other] = number;
    }
}

static void cumulate(struct popularity *popularity, double theta)
{
    double sum = 0;
    for (uint32_t i = 0; i < popularity->keys; i++)
        popularity->cumulated[i] = sum += pow(i + 1.0, -theta);
    for (uint32_t i = 0; i < popularity->keys; i++)
        popularity->cumulated[i] /= sum;
    uint32_t rank = 0;
    for (uint32_t i = 0; i <= GUIDES; i++) {
        while (rank < popularity->keys - 1 && popularity->cumulated[rank] < i / (double)GUIDES)
            rank++;
        popularity->guide[i] = rank;
    }
}

static void popularity_clean_up(struct popularity *popularity)
{
    free(popularity->key_of_rank);
    free(popularity->cumulated);
    free(popularity->guide);
}

static int popularity_init(struct popularity *popularity, const struct plan *plan)
{
    popularity->keys = plan->keys;
    popularity->key_of_rank = calloc(plan->keys, sizeof(*popularity->key_of_rank));
    popularity->cumulated = calloc(plan->keys, sizeof(*popularity->cumulated));
    popularity->guide = calloc(GUIDES + 1, sizeof(*popularity->guide));
    if (popularity->key_of_rank == NULL || popularity->cumulated == NULL ||
        popularity->guide == NULL)
        return 0;
    shuffle(popularity->key_of_rank, plan->keys, 42 + (uint64_t)plan->seed);
    cumulate(popularity, plan->theta);
    return 1;
}

/* The first rank whose cumulated share reaches a random one. */
static uint32_t draw_key(const struct popularity *popularity, uint64_t *state)
{
    double share = (double)(workload_random(state) >> 11) * 0x1p-53;
    const uint32_t *guide = popularity->guide + (size_t)(share * GUIDES);
    uint32_t low = guide[0], high = guide[1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (popularity->cumulated[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return popularity->key_of_rank[low];
}

static uint32_t draw_one(const struct popularity *popularity, int uniform, uint64_t *state)
{
    return uniform ? (uint32_t)(workload_random(state) % popularity->keys)
                   : draw_key(popularity, state);
}

static int draw_all(struct workload *workload, const struct popularity *popularity,
                    const struct plan *plan)
{
    int uniform = plan->theta == 0;
    uint64_t first[WORKLOAD_KINDS] = {uniform ? 3000 : 1000, 2000};
    unsigned threads = plan_threads_most(plan);
    for (unsigned i = 0; i < threads * WORKLOAD_KINDS; i++) {
        unsigned thread = i / WORKLOAD_KINDS, kind = i % WORKLOAD_KINDS;
        uint64_t state = first[kind] + thread + plan->seed;
        uint32_t *draw = calloc(workload->draws, sizeof(*draw));
        if ((workload->draw[thread][kind] = draw) == NULL)
            return 0;
        for (size_t n = 0; n < workload->draws; n++) {
            draw[n] = draw_one(popularity, uniform, &state);
            if (kind == WORKLOAD_MIX && workload_random(&state) % 100 < 5)
                draw[n] |= WORKLOAD_SET;
        }
    }
    return 1;
}

static int write_texts(struct workload *workload)
{
    workload->texts = malloc(workload->keys * workload->key_bytes);
    if (workload->texts == NULL)
        return 0;
    for (uint32_t i = 0; i < workload->keys; i++)
        workload_key(i, workload->key_bytes, workload->texts + i * workload->key_bytes);
    return 1;
}

static size_t draws_that_fit(const struct plan *plan)
{
    size_t draws = DRAWS_MOST;
    uint64_t row = (uint64_t)plan->key_bytes * plan_threads_most(plan);
    while (draws > DRAWS_LEAST &&
           (draws * row > STREAM_BYTES_MOST || draws / DRAWS_PER_KEY > plan->keys))
        draws /= 2;
    return draws;
}

int workload_init(struct workload *workload, const struct plan *plan)
{
    struct popularity popularity = {0};
    *workload = (struct workload){
        .keys = plan->keys, .key_bytes = plan->key_bytes, .draws = draws_that_fit(plan)};
    int complete = write_texts(workload) && popularity_init(&popularity, plan) &&
                   draw_all(workload, &popularity, plan);
    popularity_clean_up(&popularity);
    if (!complete)
        workload_clean_up(workload);
    return complete;
}

void workload_clean_up(struct workload *workload)
{
    free(workload->texts);
    for (unsigned thread = 0; thread < PLAN_THREADS_MAX; thread++)
        for (unsigned kind = 0; kind < WORKLOAD_KINDS; kind++)
            free(workload->draw[thread][kind]);
    *workload = (struct workload){0};
}
