/*
 * Blocks of values that were released, kept with the record of the thread that released them, for
 * the next value that it gets: else a view of a small value costs more for its memory than for
 * everything else. They stay with the record when that is handed on.
 */
#ifndef LARDER_KEPT_H
#define LARDER_KEPT_H

#include <larder/util/thread.h>

/** Frees what a record has. By its owner, or with no thread in the library. */
void larder__kept_free(struct larder_thread *thread);

#endif
