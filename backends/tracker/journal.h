/*
 * The journal of a tracker: which keys are lost, each once. Three kinds of entry: a key, a whole
 * namespace, and, when memory ran out, everything.
 *
 * A tracker and the one that a reload puts in its place share a journal. Any thread; no waiting but
 * for one short mutex, under which nothing is locked and nobody called.
 */
#ifndef TRACKER_JOURNAL_H
#define TRACKER_JOURNAL_H

#include <stdatomic.h>

#include <larder/tracker.h>

struct journal;

enum lost_kind { LOST_ALL, LOST_SPACE, LOST_KEY, LOST_KINDS };

/** An entry as somebody saw it. */
struct sight {
    enum lost_kind kind;
    uint64_t number;     /* 0: there is none; else of its last failure */
    int doubtful;        /* a write of it may be on its way still */
    uint64_t deleted_ns; /* when it was first deleted since; 0: not yet */
};

/** @return NULL without memory */
struct journal *journal_new(void);
struct journal *journal_share(struct journal *journal);
void journal_release(struct journal *journal);
void journal_fork(struct journal *journal, enum larder_fork_step step);

/** 1 when nothing is lost, at the price of a load. */
int journal_is_empty(struct journal *journal);

/** Looks an entry up. @param space  may be NULL, as everywhere @return OK, or NO_MEMORY: it may be
 * lost */
enum larder_status journal_look(struct journal *journal, enum lost_kind kind,
                                const struct larder_space *space, struct larder_slice key,
                                struct sight *sight);

/**
 * Records a key; past `keys_max`, or without memory, its namespace or everything instead.
 * @param lost      what it is; key empty: the whole namespace
 * @param recorded  on 1 what was recorded: the key, or less
 * @return 1 when that is new
 */
int journal_record(struct journal *journal, size_t keys_max, const struct larder_space *space,
                   const struct larder_lost *lost, int doubtful, enum lost_kind *recorded);

/** It was deleted: forgets it, unless it failed again since it was seen, or was doubtful and has
 * not been deleted `settle_ns` before. @return 1 when it may be served again */
int journal_made_up(struct journal *journal, const struct larder_space *space,
                    struct larder_slice key, const struct sight *sight, uint64_t now_ns,
                    uint64_t settle_ns);

/** The number of the last failure so far. */
uint64_t journal_now(struct journal *journal);
/** A flush went through that began at `number`: forgets what was lost in that namespace before
 * (NULL: everywhere). What is doubtful stays. */
void journal_flushed(struct journal *journal, const struct larder_space *space, uint64_t number);

/** A copy of the oldest entry, which is put behind all others. */
struct entry_copy {
    struct larder_lost lost; /* points into `bytes` */
    struct larder_space space;
    int has_space;
    struct sight sight;
    unsigned char *bytes; /* free()d by the caller */
};
/** @param takes_out  also forgets it @return 1; 0: there is none, or no memory */
int journal_next(struct journal *journal, int takes_out, struct entry_copy *copy);

struct journal_figures {
    uint64_t keys, wholes, recorded, made_up, overflows;
};
void journal_read(struct journal *journal, struct journal_figures *figures);

#endif
