/* Random changes of valid input: bytes flipped, cut, doubled, put in. The seed is new each time
 * (LARDER_TEST_SEED sets it) and printed, so that a failure can be repeated. */
#ifndef TESTS_MUTATION_H
#define TESTS_MUTATION_H

#include <stddef.h>

struct mutation {
    unsigned long long seed, state;
    /* An allocation of exactly `length` bytes, so that a sanitizer sees the first byte past it. */
    char *bytes;
    size_t length;
};

void mutation_init(struct mutation *mutation);
/** Makes bytes out of a seed text with 0 to 3 changes. */
void mutation_make(struct mutation *mutation, const char *text, size_t length);
void mutation_clean_up(struct mutation *mutation);

#endif
