/* SIGINT and SIGTERM end the program in good order: they are blocked from the start, and looked at
 * where there is time for it. Every thread inherits that. */
#ifndef PACKAGES_SIGNALS_H
#define PACKAGES_SIGNALS_H

#include <stdbool.h>

void signals_block(void);
/** In a forked child, before exec: signals work as usual again, and the child ends with us. */
void signals_restore_in_child(void);
/** Whether one is waiting; it stays. */
bool signals_pending(void);
/** Waits for one. @param milliseconds  negative: for ever @return false when none came in time */
bool signals_wait(int milliseconds);

#endif
