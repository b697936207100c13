/* Printing. Colours only where they are wanted; the table reads the same without. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#define BAR_CELLS 20

static void print_milliseconds(uint64_t microseconds)
{
    printf("  %6.*f ms", microseconds < 10000 ? 2 : 1, (double)microseconds / 1000);
}

static double rate(const struct report_row *row)
{
    return row->load.seconds > 0 ? (double)row->load.pages / row->load.seconds : 0;
}

static double hit_ratio(const struct report_row *row)
{
    uint64_t reads = row->hits + row->misses;
    return reads > 0 ? 100.0 * (double)row->hits / (double)reads : 0;
}

static void print_row(const struct report_row *row, double highest)
{
    printf("%-18s %9.0f", row->cache, rate(row));
    print_milliseconds(latency_quantile(&row->load.latency, 0.50));
    print_milliseconds(latency_quantile(&row->load.latency, 0.99));
    printf("  %6.1f %%  %9" PRIu64 "  %9" PRIu64 "  %6" PRIu64 "  %8" PRIu64, hit_ratio(row),
           row->questions, row->questions_saved, row->load.edits, row->dropped);
    printf(colours_wanted() ? "  \033[32m" : "  ");
    int cells = highest > 0 ? (int)(rate(row) / highest * BAR_CELLS + 0.5) : 0;
    for (int i = 0; i < cells; i++)
        fputs("▇", stdout);
    puts(colours_wanted() ? "\033[0m" : "");
}

static void print_verdict(uint64_t pages, uint64_t wrong, uint64_t stale, uint64_t failures)
{
    bool right = wrong == 0 && stale == 0;
    bool colours = colours_wanted();
    printf("\n%s%s%s Of %" PRIu64 " pages %" PRIu64 " were wrong, and %" PRIu64
           " showed a description older than an edit that had been answered;\n"
           "  %" PRIu64 " calls of the caches failed, which cost time and no page.\n",
           colours ? (right ? "\033[32m" : "\033[31m") : "", right ? "✔" : "✘",
           colours ? "\033[0m" : "", pages, wrong, stale, failures);
}

int report_print(const struct report_row *rows, size_t count)
{
    double highest = 0;
    uint64_t pages = 0, wrong = 0, stale = 0, failures = 0;
    for (size_t i = 0; i < count; i++) {
        highest = rate(&rows[i]) > highest ? rate(&rows[i]) : highest;
        pages += rows[i].load.pages;
        wrong += rows[i].load.wrong;
        stale += rows[i].load.stale;
        failures += rows[i].failures;
    }
    printf("\n%s%-18s %9s  %9s  %9s  %8s  %9s  %9s  %6s  %8s%s\n",
           colours_wanted() ? "\033[1m" : "", "cache", "pages/s", "p50", "p99", "hits", "queries",
           "saved", "edits", "dropped", colours_wanted() ? "\033[0m" : "");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i], highest);
    print_verdict(pages, wrong, stale, failures);
    return wrong == 0 && stale == 0 ? 0 : -1;
}
