/*
 * A reader that stands still in the middle of a call, while others write.
 *
 * Through the public calls a thread can be held up in two places: in the clock, which the cache
 * asks in the course of a call, and in a listener, which is told after a call and holds nothing. A
 * view that is held is not a call: it pins what it shows. parked_in_clock_*() does the first.
 *
 * A cache whose readers take no lock also has a place that only its own author can reach: after a
 * reader has announced itself and before it has read. parked_in_read_*() is for that.
 */
#ifndef TESTS_PARKED_READER_H
#define TESTS_PARKED_READER_H

#include <larder/larder.h>

/** For larder_open_options.clock: CLOCK_MONOTONIC, at which a reader can be parked. */
struct larder_clock parking_clock(void);

struct parked_reader;

/** Starts a thread that gets `key`, an entry with a TTL, and waits until it stands in the clock.
 * @return NULL when the cache answered without having asked the clock */
struct parked_reader *parked_in_clock_start(struct larder_cache *cache, struct larder_slice key);

/**
 * Starts a thread that begins to read `key`, a memory cache's, and waits until it stands inside of
 * the read: in a section of the cache's epochs, with the item in its hands. When it goes on it
 * looks at every byte of the item once more, which must be what they were.
 * @return NULL when there is no such place
 */
struct parked_reader *parked_in_read_start(struct larder_cache *cache, struct larder_slice key);

/** Lets a reader go on, and waits for its answer. @return that; CLOSED for NULL */
enum larder_status parked_reader_end(struct parked_reader *reader);

#endif
