/* Rows of statistics. */
#include <larder/backend.h>

#include <stdio.h>

void larder_stat_add(struct larder_stats_out *out, const char *name, uint64_t value)
{
    if (out->count < out->capacity) {
        struct larder_stat *row = &out->rows[out->count];
        int has_prefix = out->prefix != NULL;
        snprintf(row->name, sizeof(row->name), "%s%s%s", has_prefix ? out->prefix : "",
                 has_prefix ? "." : "", name);
        row->value = value;
    }
    out->count++;
}
