#include "stats.h"

#include "support.h"

#define ROWS_MAX 512

static const char *plain_name(const char *name)
{
    const char *last = strrchr(name, '.');
    return last != NULL ? last + 1 : name;
}

uint64_t stat_of(struct larder_cache *cache, const char *name)
{
    struct larder_stat rows[ROWS_MAX];
    size_t count = 0;
    uint64_t sum = 0;
    int found = 0;
    assert_status(LARDER_OK, larder_stats(cache, rows, ROWS_MAX, &count));
    assert_true(count <= ROWS_MAX);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(plain_name(rows[i].name), name) != 0)
            continue;
        sum += rows[i].value;
        found = 1;
    }
    if (!found)
        fail_msg("no statistic is called %s", name);
    return sum;
}
