/* Rows of statistics. */
#include <larder/backend.h>

#include <string.h>

void larder_stat_add(struct larder_stats_out *out, const char *name, uint64_t value)
{
    if (out->count < out->capacity) {
        struct larder_stat *row = &out->rows[out->count];
        size_t length = strnlen(name, sizeof(row->name) - 1);
        memcpy(row->name, name, length);
        row->name[length] = '\0';
        row->value = value;
    }
    out->count++;
}
