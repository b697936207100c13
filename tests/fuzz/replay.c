/*
 * Runs a fuzz target over its corpus and over mutations of it, without a fuzzer: what ctest does on
 * every build. Arguments: the corpus file, one input a line, in C escapes; how many mutations of
 * each; the seed, which is printed.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_BYTES 8192u

static uint64_t state;

/* Source: xorshift64, Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit != '\0' ? strchr(digits, digit) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* \r \n \\ \xhh. In place; the result is never longer. */
static size_t unescape(char *line)
{
    size_t length = 0;
    for (const char *at = line; *at != '\0'; at++) {
        char byte = *at;
        if (byte == '\\' && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
            byte = (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
            at += 3;
        } else if (byte == '\\' && at[1] != '\0') {
            at++;
            byte = *at == 'r' ? '\r' : *at == 'n' ? '\n' : *at;
        }
        line[length++] = byte;
    }
    return length;
}

/* A block of just that size, so that a sanitizer sees one byte too many. */
static void run(const char *bytes, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    if (copy == NULL)
        exit(1);
    memcpy(copy, bytes, length);
    LLVMFuzzerTestOneInput(copy, length);
    free(copy);
}

static size_t mutate(char *bytes, size_t length, size_t size)
{
    size_t position = length > 0 ? next_random() % length : 0;
    switch (next_random() % 4) {
    case 0: /* another byte */
        if (length > 0)
            bytes[position] = (char)next_random();
        return length;
    case 1: /* cut */
        return position;
    case 2: /* one byte less */
        if (length == 0)
            return 0;
        memmove(bytes + position, bytes + position + 1, length - position - 1);
        return length - 1;
    default: /* one byte twice */
        if (length == 0 || length == size)
            return length;
        memmove(bytes + position + 1, bytes + position, length - position);
        return length + 1;
    }
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES], mutant[LINE_BYTES];
    FILE *corpus = argc == 4 ? fopen(argv[1], "re") : NULL;
    unsigned long mutations = argc == 4 ? strtoul(argv[2], NULL, 10) : 0, inputs = 0;
    if (corpus == NULL) {
        fprintf(stderr, "usage: %s corpus mutations seed\n", argv[0]);
        return 2;
    }
    state = strtoull(argv[3], NULL, 0) | 1;
    printf("seed %s\n", argv[3]);
    for (; fgets(line, sizeof(line), corpus) != NULL; inputs++) {
        line[strcspn(line, "\n")] = '\0';
        size_t length = unescape(line);
        run(line, length);
        for (unsigned long i = 0; i < mutations; i++) {
            size_t left = length;
            memcpy(mutant, line, length);
            for (uint64_t steps = 1 + next_random() % 3; steps > 0; steps--)
                left = mutate(mutant, left, sizeof(mutant));
            run(mutant, left);
        }
    }
    fclose(corpus);
    printf("%lu inputs, %lu mutations of each\n", inputs, mutations);
    return inputs == 0;
}
