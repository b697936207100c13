/* A line that shows how far a job is: a bar on a terminal, else a plain line now and then. */
#ifndef PACKAGES_PROGRESS_H
#define PACKAGES_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *job;
    bool terminal;     /* standard error is one */
    uint64_t shown_ns; /* when it was drawn last; 0: never */
    uint64_t begun_ns;
};

uint64_t monotonic_ns(void);
/** 1 when colours are wanted: standard output is a terminal and NO_COLOR is not set. */
bool colours_wanted(void);

void progress_begin(struct progress *progress, const char *job);
/** @param share  0 to 1
 *  @param note   what stands behind the bar */
void progress_show(struct progress *progress, double share, const char *note);
/** Takes the bar away and leaves one line. */
void progress_end(struct progress *progress, const char *result);

#endif
