/* The factory by configuration file: larder_open_file() of larder.h. */
#ifndef LARDER_FILE_H
#define LARDER_FILE_H

#include "config.h"

/**
 * Opens what a configuration names.
 * @param options  of the client; may be NULL
 * @return as larder_open_file(); on failure nothing is left open
 */
enum larder_status larder__config_open(const struct larder__config *config,
                                       const struct larder_open_options *options,
                                       struct larder_cache **client,
                                       const struct larder_message *message);

#endif
