/*
 * Blocks of values that were released, kept with the record of the thread that released them, for
 * the next value that it gets: else a view of a small value costs more for its memory than for
 * everything else. A thread that exits frees them.
 */
#ifndef LARDER_KEPT_H
#define LARDER_KEPT_H

#include <larder/util/thread.h>

/** Frees what a record has. By its owner, or when it has none. */
void larder__kept_free(struct larder_thread *thread);
/** Forgets what a record has, whatever state that is in: in the child of a fork. */
void larder__kept_lose(struct larder_thread *thread);

#endif
