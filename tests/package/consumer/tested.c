/* A host's unit test, with the testing library. */
#include <larder/testing.h>

#include <stdio.h>

int main(void)
{
    struct larder_manual_clock *clock = larder_manual_clock_new(1);
    puts(clock != NULL ? "clock: OK" : "clock: none");
    larder_manual_clock_free(clock);
    return 0;
}
