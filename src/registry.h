/* Which backends there are, by scheme. src/registry.c is the one place that names them. */
#ifndef LARDER_REGISTRY_H
#define LARDER_REGISTRY_H

#include <larder/backend.h>

/** The most backends that a program may register beside the built-in ones. */
#define LARDER__REGISTERED_MAX 64u
#define LARDER__SCHEME_BYTES_MAX 32u

/** The built-in backend number `index`, or NULL past the last. For the reference. */
const struct larder_backend *larder__backend_builtin(size_t index);

/** The backend of that scheme, or NULL. Threads: any. */
const struct larder_backend *larder__backend_find(const char *scheme, size_t length);

/** Says why a scheme was not found: a component that was not built, or a slip of the pen.
 * @return UNSUPPORTED or BAD_ARGUMENT */
enum larder_status larder__backend_missing(const char *scheme, const struct larder_message *why);

/** Refuses a backend whose versions do not fit or whose tables are incomplete.
 * @return OK; BAD_ARGUMENT for NULL; UNSUPPORTED with a message that says which */
enum larder_status larder__backend_check(const struct larder_backend *backend,
                                         const struct larder_message *message);

#endif
