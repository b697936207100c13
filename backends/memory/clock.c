/* How the time is asked. */
#include "clock.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#if defined(__aarch64__)
#define VDSO_CLOCK_GETTIME "__kernel_clock_gettime"
#else
#define VDSO_CLOCK_GETTIME "__vdso_clock_gettime"
#endif

/* What libc's clock_gettime() calls, vdso(7): each read of what ends asks, and without the way
 * there it takes a fourth less. */
static clock_gettime_fn *shortest_clock(void)
{
    clock_gettime_fn *function = clock_gettime;
    void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = vdso != NULL ? dlsym(vdso, VDSO_CLOCK_GETTIME) : NULL;
    if (symbol != NULL)
        memcpy(&function, &symbol, sizeof(function)); /* as POSIX lets it be one */
    if (vdso != NULL)
        (void)dlclose(vdso); /* the kernel keeps it */
    return function;
}

void larder__clock_open(struct memory_clock *clock, const struct larder_host *host)
{
    int coarse = host->coarse_clock.now_ns != NULL;
    clock->clock = coarse ? host->coarse_clock : host->clock;
    clock->id = coarse ? host->coarse_id : -1;
    clock->gettime = shortest_clock();
    clock->slack_ms = coarse ? host->coarse_ms : 0;
    clock->birth_ms = larder__clock_read_ms(clock) - CLOCK_FIRST_MS;
}
