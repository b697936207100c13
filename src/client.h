/* What the core's other rooms ask of a client. */
#ifndef LARDER_CLIENT_INSIDE_H
#define LARDER_CLIENT_INSIDE_H

#include <larder/client.h>

#include "handle.h"

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

#endif
