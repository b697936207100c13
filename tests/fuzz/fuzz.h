/* What a fuzz target is: libFuzzer calls it by this name, and so does the replay of a corpus. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** @return 0; ends the program when something does not hold */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
