/* The demo: the same load over several caches in turn, and a table that compares them. */
#ifndef PACKAGES_DEMO_H
#define PACKAGES_DEMO_H

#include "options.h"

/** @return the exit status */
int demo_run(const struct options *options, const char *database_path);

#endif
