/*
 * For compositions, backends whose options are caches (struct larder_part): how a call is passed on
 * to a part, and the rows that are the same for all of them.
 *
 * A session of a composition holds one session of each part, so a scope's session is exchanged on
 * the way for that of the part.
 */
#ifndef LARDER_UTIL_PARTS_H
#define LARDER_UTIL_PARTS_H

#include <larder/backend.h>

/** The same call on part number `index`. */
struct larder_scope larder_part_scope(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t index);

/** A row `acquire`: takes a session of every part, or of none. @return as the first part that has
 * none to give; NO_MEMORY */
enum larder_status larder_parts_acquire(const struct larder_scope *scope,
                                        const struct larder_part *parts, size_t count,
                                        struct larder_session *session);
/** A row `release`. */
void larder_parts_release(const struct larder_scope *scope, const struct larder_part *parts,
                          size_t count, struct larder_session *session);

/** A row `flush`: of every part, also when one fails. @return OK, or the failure with the lowest
 * number */
enum larder_status larder_parts_flush(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count);

/** A row `stats`: every part's rows, each under its option's name and a dot. */
void larder_parts_stats(const struct larder_scope *scope, const struct larder_part *parts,
                        size_t count, struct larder_stats_out *out);

/** A row `purge`: every part has `budget_ms`. */
enum larder_status larder_parts_purge(const struct larder_scope *scope,
                                      const struct larder_part *parts, size_t count,
                                      uint32_t budget_ms, uint64_t *next_due_ms);

/** For a row `many`: the next rows in a row that are to be answered. Those that came in answered
 * are left alone; what is between them is passed on by itself.
 * @param next  0 at first; where to go on from
 * @return 0: there are no more */
int larder_rows_run(const struct larder_rows *rows, size_t *next, struct larder_rows *run);
/** Answers all that are to be answered. */
void larder_rows_refuse(const struct larder_rows *rows, enum larder_status status);

#endif
