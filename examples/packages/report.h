/* The demo's table. */
#ifndef PACKAGES_REPORT_H
#define PACKAGES_REPORT_H

#include "load.h"

struct report_row {
    const char *cache;
    struct load_result load;
    uint64_t hits, misses;
    uint64_t questions, questions_saved;
    uint64_t dropped; /* pages, by edits */
    uint64_t failures;
};

/** Prints the table, and a sentence about what was checked.
 * @return 0; or -1 when a page was wrong or old. A call of a cache that failed is told, and no
 * more: it costs a page nothing but time */
int report_print(const struct report_row *rows, size_t count);

#endif
