/* What the core gives a backend that answers plain reads by itself, and does for one that doesn't.
 */
#ifndef LARDER_HIT_H
#define LARDER_HIT_H

#include <larder/backend.h>
#include <larder/util/hit.h>

/* Of a handle's reader. */
enum larder_status larder__hit_otherwise(struct larder_reader *reader, struct larder_slice key,
                                         void *buffer, size_t size);
enum larder_status larder__hit_count_slowly(const struct larder_reader *reader);
enum larder_status larder__hit_missed(struct larder_reader *reader, struct larder_slice key);
/** Of a handle that a reload may lead elsewhere: a visit. The scope is not looked at: before the
 * visit begins it may be gone. */
larder_hit_fn larder__hit_on_visit;
/** Likewise, where readers need a fence. */
larder_hit_fn larder__hit_on_fenced_visit;
/** Of what every call is refused on. */
larder_hit_fn larder__hit_refused;
/** The row of a backend that has none: its row `read` is called. */
larder_hit_of_fn larder__hit_of_read;

#endif
