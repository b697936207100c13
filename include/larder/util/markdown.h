/*
 * Whether a server is up, shared by everybody who speaks to it. A server that refuses or closes is
 * down at once, one that does not answer in time after three such calls in a row. While it is down
 * nobody waits for it; every period exactly one caller becomes the prober, and its success brings
 * the server back.
 *
 * Callers pass the time (CLOCK_MONOTONIC; a test passes its own). Any thread, no waiting but for a
 * short mutex. Each ask() that answered UP or PROBE is followed by one report, or for a PROBE that
 * never spoke to the server by abandon(); a prober that does neither loses its claim in time.
 */
#ifndef LARDER_UTIL_MARKDOWN_H
#define LARDER_UTIL_MARKDOWN_H

#include <pthread.h>
#include <stdatomic.h>

#include <larder/backend.h>

/** So many timeouts in a row mark a server down. */
#define LARDER_MARKDOWN_TIMEOUTS 3u

enum larder_markdown_answer {
    LARDER_MARKDOWN_UP,
    LARDER_MARKDOWN_DOWN, /* don't speak to it */
    LARDER_MARKDOWN_PROBE /* it is down, and this caller finds out whether it still is */
};

enum larder_markdown_state {
    LARDER_MARKDOWN_STATE_UP,
    LARDER_MARKDOWN_STATE_DOUBTED, /* up, and the last call timed out */
    LARDER_MARKDOWN_STATE_DOWN
};

struct larder_markdown {
    uint64_t period_ns; /* between probes; set in init, then only read */
    uint64_t claim_ns;  /* how long a prober may take */
    /* Written holding the mutex. Read relaxed without it: who acts on an old state speaks to a
     * server that has just gone, or waits for one call more, and nothing else hangs on it. */
    _Atomic uint32_t state;
    pthread_mutex_t mutex; /* a leaf: nothing is locked under it */
    struct {               /* touched only while holding mutex */
        uint32_t timeouts; /* in a row */
        uint64_t due_ns;   /* when the next prober is chosen */
        uint64_t ticket;   /* of the last prober */
        uint64_t markdowns;
        uint64_t probes;
    } guarded;
};

/** @return OK or NO_MEMORY. @param claim_ms  at least as long as a probe can take */
enum larder_status larder_markdown_init(struct larder_markdown *markdown, uint64_t period_ms,
                                        uint64_t claim_ms);
void larder_markdown_clean_up(struct larder_markdown *markdown);
/** Goes on from what `older` knows of the same server, with an own period. Before the first ask().
 */
void larder_markdown_follow(struct larder_markdown *markdown, struct larder_markdown *older,
                            uint64_t now_ns);

/** @param ticket  the prober's, for its report; 0 for everybody else */
enum larder_markdown_answer larder_markdown_ask(struct larder_markdown *markdown, uint64_t now_ns,
                                                uint64_t *ticket);

/** The same for most calls, at the price of a load. */
static inline int larder_markdown_is_up(struct larder_markdown *markdown)
{
    return atomic_load_explicit(&markdown->state, memory_order_relaxed) !=
           LARDER_MARKDOWN_STATE_DOWN;
}

void larder_markdown_success(struct larder_markdown *markdown, uint64_t ticket);
/** @return 1 when this marked the server down */
int larder_markdown_timeout(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns);
/** Refused, or closed before an answer. @return 1 when this marked the server down */
int larder_markdown_failure(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns);
/** Hands the prober's claim to the next caller. Ticket 0 does nothing. */
void larder_markdown_abandon(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns);

struct larder_markdown_figures {
    int down;
    uint64_t markdowns;
    uint64_t probes;
};
void larder_markdown_read(struct larder_markdown *markdown,
                          struct larder_markdown_figures *figures);

/** Holds the mutex around fork(). */
void larder_markdown_fork(struct larder_markdown *markdown, enum larder_fork_step step);

#endif
