/*
 * Which edits were answered, and in what order. A reader notes how many there were before it asks
 * for a page; what the page shows of a package must not be older than the last of those edits.
 */
#ifndef PACKAGES_JOURNAL_H
#define PACKAGES_JOURNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_EDITS_MAX 65535u

struct journal_entry {
    uint32_t edit;     /* its number, as the description shows it */
    uint32_t previous; /* the same package's entry before, from 1; 0: none */
};

struct journal {
    pthread_mutex_t editing; /* one edit at a time, from before it is sent until it is noted */
    /* Entries below `count` never change again. Release at noting, acquire at journal_count(). */
    _Atomic uint32_t count;
    struct journal_entry *entries;
    /* By package: its last entry, from 1; 0: none. Release and acquire, as `count`. */
    _Atomic uint32_t *last;
    int64_t largest_id;
};

int journal_init(struct journal *journal, int64_t largest_id);
void journal_clean_up(struct journal *journal);

/** Takes the right to edit. @param edit  its number, higher than every one before
 *  @return false when somebody else is editing, or the journal is full */
bool journal_begin(struct journal *journal, uint32_t *edit);
/** The edit was answered. */
void journal_end(struct journal *journal, int64_t package);
/** The edit failed: nothing can be said of what pages show. */
void journal_abandon(struct journal *journal);

uint32_t journal_count(const struct journal *journal);
/** The edit that a page must show of a package, or a later one, when it was asked for after the
 * first `count` edits; 0: none. */
uint32_t journal_required(const struct journal *journal, int64_t package, uint32_t count);

#endif
