/* group.c once more, for processors with wide registers and AES: see larder__is_wide(). */
#define LARDER_WIDE 1
#include "group.c"
