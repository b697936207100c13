/* store.c once more, for processors with 32 registers of 64 bytes: see width.h. */
#define LARDER_WIDTH LARDER_WIDEST
#include "store.c"
