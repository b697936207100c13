/* Configuration files, on their way from the disk: larder_open_file() and larder_reload(). */
#ifndef LARDER_FILE_H
#define LARDER_FILE_H

#include "source.h"

/** Reads and checks the file of a source.
 * @return OK; UNAVAILABLE for what can't be read; as larder__config_read() */
enum larder_status larder__file_read(struct larder_source *source,
                                     const struct larder_message *message);

#endif
