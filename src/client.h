/* What the core's other rooms ask of a client. */
#ifndef LARDER_CLIENT_INSIDE_H
#define LARDER_CLIENT_INSIDE_H

#include <larder/client.h>

#include "handle.h"

/** What a client was opened from; see source.h. */
struct larder_source;

/** The most leads and graphs that reloads have replaced and calls or sessions are still on. */
#define LARDER__RETIRED_MAPS_MAX 1048576u

void larder__client_shutdown(struct larder_client *client);
void larder__client_close(struct larder_client *client);
/** Flushes each distinct cache once, under the session and the options of `scope`; all of them,
 * also when one fails. @return OK, or the failure with the lowest number */
enum larder_status larder__client_flush(struct larder_client *client,
                                        const struct larder_scope *scope);
/** Adds the figures of all bound namespaces. */
void larder__client_totals(struct larder_client *client, struct larder_totals *totals);
/** Writes the rows of every cache, each under the first name that is routed to it. */
void larder__client_stats(struct larder_client *client, struct larder_stats_out *out);
enum larder_status larder__client_purge(struct larder_client *client, uint32_t budget_ms,
                                        uint64_t *next_due_ms);

/* ---- reloading: begin, then reload any number of times, then end, in one thread ------------- */

/** Waits until nobody else reloads. @return OK, or CLOSED */
enum larder_status larder__client_reload_begin(struct larder_client *client);
void larder__client_reload_end(struct larder_client *client);

/** What the client's graph was made from, or NULL. It stays until a reload has put another one in
 * its place. */
struct larder_source *larder__client_source(struct larder_client *client);
/** Gives it to a client that nobody else knows yet. */
void larder__client_keep_source(struct larder_cache *client, struct larder_source *source);

/**
 * Puts another map into force under running calls, and shuts down the caches that it doesn't lead
 * to.
 * @param routes  may name caches that the client has
 * @param source  on OK the client's; the one before it is the caller's to free
 * @return OK; as larder_client_open(), TOO_LARGE or CLOSED, and nothing has changed: caches that
 *         are new stay the caller's
 */
enum larder_status larder__client_reload(struct larder_client *client,
                                         const struct larder_client_options *options,
                                         const struct larder_open_options *open_options,
                                         const struct larder_route *routes, size_t route_count,
                                         struct larder_source *source,
                                         const struct larder_message *message);

/** For tests of the limits: as if they were these. */
void larder__client_limit_retired(struct larder_client *client, uint32_t caches, uint32_t maps);

#endif
