/*
 * What is measured, behind the same few inline calls, so that the measuring loop calls it directly:
 * larder, or as its peers bare libmemcached and a bare socket with the meta protocol. Each is a
 * program of its own, compiled from the same loop.
 *
 * struct target         one per process: target_open(), target_close()
 * struct target_thread  one per thread: target_enter(), target_leave()
 * target_read()         copies a value into a buffer of workload's value size
 * target_get()          looks at a value where it is: its first 8 bytes
 * target_set(), target_many()
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

enum target_outcome { TARGET_HIT, TARGET_MISS, TARGET_FAILED };

#ifdef BENCH_LIBMEMCACHED
#include "target_libmemcached.h"
#elif defined(BENCH_META)
#include "target_meta.h"
#else
#include "target_larder.h"
#endif

/** @return 0 with a message on stderr */
int target_open(struct target *target, const struct plan *plan);
void target_close(struct target *target);
/** @return 1 when the values lie in this process */
int target_is_local(const struct target *target);

/** @return 0 with a message on stderr */
int target_enter(struct target *target, const struct plan *plan, struct target_thread *thread);
void target_leave(struct target_thread *thread);

#endif
