/*
 * URIs of caches: scheme:[//servers][path][?name=value&name=value…]
 *
 * What stands between "scheme:" and "?" goes to the backend's servers. Servers and values are
 * percent-decoded; names are not. "scheme:--SERVER=…" and "scheme:--SOCKET=…" are libmemcached's
 * configuration strings: all of it goes to the backend as it is, also a '?', which means a weight
 * there, so such a URI has no options of ours.
 */
#ifndef LARDER_URI_H
#define LARDER_URI_H

#include "spec.h"

/** The longest URI, in bytes. */
#define LARDER__URI_BYTES_MAX 65536u

/**
 * Reads a URI into an empty spec, which the caller cleans up, also on failure.
 * @return OK; BAD_ARGUMENT; UNSUPPORTED for a scheme that was not built; NO_MEMORY
 */
enum larder_status larder__uri_read(struct larder__text uri, struct larder__spec *spec,
                                    const struct larder_message *message);

#endif
