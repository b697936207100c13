#include "history.h"

const char *act_name(enum act act)
{
    static const char *const names[] = {
#define NAME_ROW(name) #name,
        ACT_TABLE(NAME_ROW)
#undef NAME_ROW
    };
    return names[act];
}

/* The finisher of splitmix64: different inputs give different outputs. Never 0, for all that comes
 * up here. */
static uint64_t mix(uint64_t word)
{
    word += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

uint64_t fingerprint(uint64_t before, uint64_t number)
{
    return mix(mix(before) ^ number);
}

uint64_t counter_fingerprint(uint64_t number)
{
    return mix(number) | 1;
}
