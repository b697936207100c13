/* store.c once more, for processors with registers of 32 bytes and AES: see width.h. */
#define LARDER_WIDTH LARDER_WIDE
#include "store.c"
