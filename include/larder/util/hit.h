/*
 * Hits: what a backend needs that answers plain reads and gets by itself (larder_hits_of_fn in
 * backend.h). The core does nothing after it, so the backend counts.
 */
#ifndef LARDER_UTIL_HIT_H
#define LARDER_UTIL_HIT_H

#include <larder/backend.h>

struct larder_tally;

/** The head of every handle. Constant. */
struct larder_reader {
    /* makes the call from the start, by the row `read` */
    enum larder_status (*read_otherwise)(struct larder_reader *reader, struct larder_slice key,
                                         void *buffer, size_t size);
    /* see larder_hit_count() */
    enum larder_status (*count)(const struct larder_reader *reader,
                                enum larder_operation operation);
    /* counts a READ or a GET that missed, and answers MISS; a get has emptied its view */
    enum larder_status (*missed)(struct larder_reader *reader, struct larder_slice key,
                                 enum larder_operation operation);
    /* makes the call from the start, by the row `get` */
    enum larder_status (*get_otherwise)(struct larder_reader *reader, struct larder_slice key,
                                        struct larder_value *value);
    _Atomic(struct larder_tally *) *tallies; /* the core's own */
};

/** The last thing that a hit does. @param operation  READ or GET @return OK */
static inline enum larder_status larder_hit_count(const struct larder_reader *reader,
                                                  enum larder_operation operation)
{
    return reader->count(reader, operation);
}

#endif
