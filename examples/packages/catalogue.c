/* Loading and drawing. */
#include "catalogue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ZIPF_EXPONENT 1.0

uint64_t catalogue_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static bool add(struct catalogue *catalogue, const struct mention *mention, size_t capacity)
{
    if (catalogue->count == capacity)
        return false;
    struct catalogue_entry *entry = &catalogue->entries[catalogue->count++];
    entry->id = mention->id;
    entry->name = strdup(mention->name);
    entry->synopsis = strdup(mention->synopsis != NULL ? mention->synopsis : "");
    if (mention->id > catalogue->largest_id)
        catalogue->largest_id = mention->id;
    return entry->name != NULL && entry->synopsis != NULL;
}

static void weigh(struct catalogue *catalogue)
{
    double sum = 0;
    for (size_t rank = 0; rank < catalogue->count; rank++) {
        sum += 1 / pow((double)rank + 1, ZIPF_EXPONENT);
        catalogue->weights[rank] = sum;
    }
}

int catalogue_load(struct catalogue *catalogue, struct database *database)
{
    *catalogue = (struct catalogue){0};
    database_begin(database);
    size_t capacity = (size_t)database_totals(database).packages;
    catalogue->entries = calloc(capacity + 1, sizeof(*catalogue->entries));
    catalogue->weights = calloc(capacity + 1, sizeof(*catalogue->weights));
    bool loaded = catalogue->entries != NULL && catalogue->weights != NULL;
    struct mention mention;
    database_list(database, LIST_POPULAR, 0, NULL, -1, 0);
    while (loaded && database_next(database, &mention))
        loaded = add(catalogue, &mention, capacity);
    loaded = loaded && !database_failed(database) && catalogue->count > 0;
    database_end(database);
    if (!loaded) {
        catalogue_free(catalogue);
        return -1;
    }
    weigh(catalogue);
    return 0;
}

void catalogue_free(struct catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        free(catalogue->entries[i].name);
        free(catalogue->entries[i].synopsis);
    }
    free(catalogue->entries);
    free(catalogue->weights);
    *catalogue = (struct catalogue){0};
}

const struct catalogue_entry *catalogue_draw(const struct catalogue *catalogue, uint64_t *random)
{
    double unit = (double)(catalogue_random(random) >> 11) / 9007199254740992.0; /* 2^53 */
    double wanted = unit * catalogue->weights[catalogue->count - 1];
    size_t low = 0, high = catalogue->count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalogue->weights[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return &catalogue->entries[low];
}
