/* What becomes of the blocks that a thread's record has. */
#ifndef LARDER_KEPT_H
#define LARDER_KEPT_H

#include <larder/util/kept.h>

/** Frees them. By the record's owner, or when it has none. */
void larder__kept_free(struct larder_thread *thread);
/** Forgets them, whatever state they are in: in the child of a fork. */
void larder__kept_lose(struct larder_thread *thread);

#endif
