/* The load: some threads that each ask for one page after the other, and check what they get. */
#ifndef PACKAGES_LOAD_H
#define PACKAGES_LOAD_H

#include "catalogue.h"
#include "journal.h"
#include "latency.h"
#include "progress.h"

struct load_options {
    uint16_t port;
    unsigned threads;
    unsigned seconds;
    const struct catalogue *catalogue;
    struct journal *journal;
};

struct load_result {
    struct latency latency; /* of pages; edits are not in it */
    double seconds;
    uint64_t pages, edits;
    uint64_t wrong; /* not the page that was asked for, or none at all */
    uint64_t stale; /* showed a description older than an edit that had been answered */
    bool interrupted;
};

/** Loads the site, showing progress. @return 0; or -1 when not a single request was possible */
int load_run(const struct load_options *options, struct progress *progress,
             struct load_result *result);

#endif
