/*
 * Namespaces over a backend that does not keep them apart itself: the wire key is
 * name:generation:key, or name:key where generations are off.
 *
 * An entry is placed by name:key, since the generation belongs to the server that it is placed on.
 */
#ifndef LARDER_NAMESPACE_H
#define LARDER_NAMESPACE_H

#include <larder/backend.h>

struct namespaced;

/**
 * Wraps a backend.
 * @param inner  copied; what it points to stays until the end
 * @return the wrapper, or NULL when memory ran out
 */
struct namespaced *larder__namespaced_new(const struct larder_scope *inner,
                                          const struct larder_traits *traits,
                                          struct larder_clock clock, uint64_t poll_ms,
                                          int generation);
/** Last and alone. NULL does nothing. */
void larder__namespaced_free(struct namespaced *namespaced);

/** The scope to call through, once its `space` is set. */
struct larder_scope larder__namespaced_scope(struct namespaced *namespaced);
const struct larder_traits *larder__namespaced_traits(const struct namespaced *namespaced);

#endif
