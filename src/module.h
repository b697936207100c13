/* Backends in shared objects, found by their scheme. */
#ifndef LARDER_MODULE_H
#define LARDER_MODULE_H

#include <larder/backend.h>

/**
 * Loads the module that a scheme names and registers its backends.
 *
 * The module folder is LARDER_MODULE_PATH of the environment (an absolute path; ignored where the
 * process runs with more rights than its user); else "larder" beside the library that is loaded;
 * else where this build installs modules.
 *
 * @return OK; MISS: there is no such file; UNSUPPORTED with a message: there is one, but it can't
 * be used
 */
enum larder_status larder__module_load(const char *scheme, size_t length,
                                       const struct larder_message *message);

#endif
