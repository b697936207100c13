/*
 * Whether a history of one key is linearizable: whether each call can have happened at one instant
 * between its beginning and its end, so that all answers are right one after the other. An eviction
 * is a delete that may happen at any instant, an expiry one that happens at the deadline of the
 * manual clock, whose steps are events of the history. A TTL counts from some moment within its
 * call, perhaps before the instant at which the call happens; whether an entry is dead is judged at
 * that instant, and what was dead once stays so.
 *
 * The search is Wing's and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's
 * memory of what was tried ("Testing for linearizability", 2017): a set of events that have
 * happened and the state that they left are looked at once.
 */
#ifndef TESTS_LINEARIZABILITY_H
#define TESTS_LINEARIZABILITY_H

#include "history.h"

#include <stddef.h>

/** The most events that concern one key. */
#define LINEARIZABLE_EVENTS_MAX 64u
/** The most states that are looked at for one key. */
#define LINEARIZABLE_STATES_MAX 2000000u

enum verdict {
    LINEARIZABLE,
    NOT_LINEARIZABLE,
    UNDECIDED /* over one of the limits, or memory ran out */
};

/**
 * @param events   in any order; those of other keys are passed over
 * @param now_ms   the manual clock when the history began, before which the key was never used
 * @param evicts   1: the entry may vanish at any instant
 */
enum verdict linearizable(const struct event *events, size_t count, uint32_t key, uint64_t now_ms,
                          int evicts);

/** Writes the events of one key, a line each, for the message of a failing test. Borrows stdio. */
void tell_history(const struct event *events, size_t count, uint32_t key);

#endif
