/* What a backend built on a pool passes from its own `fork` row. */
#ifndef LARDER_UTIL_POOL_FORK_H
#define LARDER_UTIL_POOL_FORK_H

#include <larder/backend.h>
#include <larder/pool.h>

/**
 * Takes a pool through fork(): PREPARE before it, then PARENT and CHILD after it, all in the
 * forking thread. PREPARE holds the pool's lock until the other two let it go, so that the child
 * never inherits a half-done change; in between the parent's other threads wait for the lock.
 *
 * In the child
 * - every slot is idle and empty, and acquire fills it with an object of the child's own;
 * - the inherited objects, idle or on loan, are forgotten without being destroyed, since destroying
 *   one could speak on a connection that is still the parent's: at most `size` of them leak per
 *   fork;
 * - nobody waits: the waiting threads exist in the parent only;
 * - an inherited loan is no loan of this pool any more: releasing it, whatever `broken` says,
 * answers BAD_ARGUMENT and touches neither the object nor the pool. It is safe to do so, since an
 * object that is never freed shares its address with none that the child creates.
 *
 * `create` and `destroy` must not fork, unless the child goes straight to exec() or _exit().
 * Threads: the forking one. NULL does nothing.
 */
void larder_pool_fork(struct larder_pool *pool, enum larder_fork_step step);

#endif
