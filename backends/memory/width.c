/* Which width the processor has. */
#include "width.h"

#ifndef LARDER_WIDTH_MOST /* for tests, which run on one processor */
#define LARDER_WIDTH_MOST WIDEST
#endif

static enum width width_of_processor(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("aes") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return NARROW;
    /* the last of them says that it is one that the longest registers do not slow down */
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2")
               ? WIDEST
               : WIDE;
#else
    return NARROW;
#endif
}

enum width larder__width(void)
{
    enum width width = width_of_processor();
    return width > LARDER_WIDTH_MOST ? LARDER_WIDTH_MOST : width;
}
