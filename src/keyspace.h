/*
 * A keyspace with metadata over a backend that only stores bytes: leases and negative entries as
 * records under the key itself (docs/record-codec.md). Plain values stay what they are. What the
 * backend can't do natively over a record goes by get and cas; each such call is repeated, by its
 * deadline, until it was not disturbed, so every operation still happens at one instant.
 *
 * Sits between namespaces and the leaf's backend; a leaf that declares nothing has none.
 */
#ifndef LARDER_KEYSPACE_H
#define LARDER_KEYSPACE_H

#include <larder/backend.h>

struct keyspace;

/**
 * Wraps a backend.
 * @param ops       complete; copied, and `self` with them: on OK they are closed with the keyspace
 * @param traits    complete; copied
 * @param clock     of the leaf
 * @param metadata  METADATA_* bits, not 0
 * @return OK; UNSUPPORTED for a backend that can't carry records; NO_MEMORY
 */
enum larder_status larder__keyspace_open(const struct larder_ops *ops, void *self,
                                         const struct larder_traits *traits,
                                         struct larder_clock clock, uint32_t metadata,
                                         const struct larder_message *message,
                                         struct keyspace **keyspace);

/** Its rows, for `self` = the keyspace; closing it closes the backend. */
const struct larder_ops *larder__keyspace_ops(const struct keyspace *keyspace);

#endif
