#include "mutation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/random.h>

/* xorshift64*, Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016. */
static unsigned long long next(struct mutation *mutation)
{
    mutation->state ^= mutation->state >> 12;
    mutation->state ^= mutation->state << 25;
    mutation->state ^= mutation->state >> 27;
    return mutation->state * 2685821657736338717ULL;
}

static size_t below(struct mutation *mutation, size_t bound)
{
    return (size_t)(next(mutation) >> 16) % bound;
}

void mutation_init(struct mutation *mutation)
{
    const char *given = getenv("LARDER_TEST_SEED");
    memset(mutation, 0, sizeof(*mutation));
    mutation->seed = given != NULL ? strtoull(given, NULL, 10) : larder_random() | 1;
    mutation->state = mutation->seed;
    printf("LARDER_TEST_SEED=%llu\n", mutation->seed);
}

void mutation_clean_up(struct mutation *mutation)
{
    free(mutation->bytes);
    mutation->bytes = NULL;
}

/* Replaces `cut` bytes at `at` by `count` bytes. */
static void splice(struct mutation *mutation, size_t at, size_t cut, const char *bytes,
                   size_t count)
{
    size_t length = mutation->length - cut + count;
    char *changed = malloc(length > 0 ? length : 1);
    if (changed == NULL)
        abort();
    memcpy(changed, mutation->bytes, at);
    if (count > 0)
        memcpy(changed + at, bytes, count);
    memcpy(changed + at + count, mutation->bytes + at + cut, mutation->length - at - cut);
    free(mutation->bytes);
    mutation->bytes = changed;
    mutation->length = length;
}

static void change(struct mutation *mutation)
{
    static const char marks[] = "\n\n ?&=%@:/[];#,-0k9\t\"*";
    size_t at = below(mutation, mutation->length + 1);
    size_t run = below(mutation, mutation->length - at + 1);
    size_t cut = at < mutation->length;
    char byte = (char)next(mutation);
    char copy[64];
    switch (below(mutation, 6)) {
    case 0: /* any byte in place of one */
        splice(mutation, at, cut, &byte, 1);
        break;
    case 1: /* a byte that means something */
        splice(mutation, at, 0, &marks[below(mutation, sizeof(marks))], 1);
        break;
    case 2:
        splice(mutation, at, cut, NULL, 0);
        break;
    case 3: /* a run cut out */
        splice(mutation, at, run < 40 ? run : 40, NULL, 0);
        break;
    case 4: /* a run doubled */
        run = run < sizeof(copy) ? run : sizeof(copy);
        memcpy(copy, mutation->bytes + at, run);
        splice(mutation, at, 0, copy, run);
        break;
    default: /* the end cut off */
        splice(mutation, at, mutation->length - at, NULL, 0);
        break;
    }
}

void mutation_make(struct mutation *mutation, const char *text, size_t length)
{
    free(mutation->bytes);
    mutation->length = length;
    mutation->bytes = malloc(length > 0 ? length : 1);
    if (mutation->bytes == NULL)
        abort();
    memcpy(mutation->bytes, text, length);
    for (size_t changes = below(mutation, 4); changes > 0; changes--)
        change(mutation);
}
