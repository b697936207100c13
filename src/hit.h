/* What the core gives a backend that answers plain reads and gets by itself, and does for one that
 * doesn't. */
#ifndef LARDER_HIT_H
#define LARDER_HIT_H

#include <larder/backend.h>
#include <larder/util/hit.h>

/* Of a handle's reader. */
enum larder_status larder__read_otherwise(struct larder_reader *reader, struct larder_slice key,
                                          void *buffer, size_t size);
enum larder_status larder__get_otherwise(struct larder_reader *reader, struct larder_slice key,
                                         struct larder_value *value);
enum larder_status larder__hit_counted(const struct larder_reader *reader,
                                       enum larder_operation operation);
enum larder_status larder__hit_missed(struct larder_reader *reader, struct larder_slice key,
                                      enum larder_operation operation);

/** Of a handle that a reload may lead elsewhere: a visit. The scope is not looked at: before the
 * visit begins it may be gone. */
extern const struct larder_hits larder__hits_on_visit;
/** Likewise, where readers need a fence. */
extern const struct larder_hits larder__hits_on_fenced_visit;
/** Of what every call is refused on; for constants. */
#define LARDER__HITS_REFUSED                              \
    {                                                     \
        larder__read_hit_refused, larder__get_hit_refused \
    }
larder_read_hit_fn larder__read_hit_refused;
larder_get_hit_fn larder__get_hit_refused;

/** Asks a scope's backend. */
struct larder_hits larder__hits_of(struct larder_scope *scope);

#endif
