/* A made-up package index, for tests and for machines without apt. */
#include "index.h"

static const char *const qualities[] = {"quick", "small", "careful", "portable", "modern", "plain"};
static const char *const things[] = {"parser", "editor", "library", "viewer", "server", "game",
                                     "font",   "driver", "codec",   "shell",  "index"};

/* The numbers of a linear congruential generator; Knuth's MMIX constants. */
static unsigned next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33);
}

/* Two draws multiplied lean to the low numbers, so that the first packages are needed by many. */
static unsigned popular(uint64_t *state, unsigned below)
{
    uint64_t product = (uint64_t)(next_random(state) % below) * (next_random(state) % below);
    return (unsigned)(product / below);
}

static void write_relations(FILE *file, const char *field, unsigned number, uint64_t *state)
{
    unsigned groups = 1 + next_random(state) % 6;
    fprintf(file, "%s: ", field);
    for (unsigned group = 0; group < groups; group++) {
        fprintf(file, "%ssample-%u", group > 0 ? ", " : "", popular(state, number));
        if (next_random(state) % 3 == 0)
            fprintf(file, " (>= %u.%u)", next_random(state) % 4, next_random(state) % 10);
        if (next_random(state) % 5 == 0)
            fprintf(file, " | sample-service-%u", next_random(state) % 4);
        if (next_random(state) % 7 == 0)
            fprintf(file, ",\n sample-%u:any", popular(state, number));
    }
    fputc('\n', file);
}

static void write_package(FILE *file, unsigned number, uint64_t *state)
{
    unsigned size = 10 + next_random(state) % 9000;
    fprintf(file, "Package: sample-%u\nVersion: %u.%u-1\nArchitecture: all\nSection: %s\n", number,
            next_random(state) % 4, next_random(state) % 10, number % 3 == 0 ? "libs" : "utils");
    fprintf(file, "Priority: optional\nMaintainer: Sample Team <sample@example.org>\n");
    fprintf(file, "Installed-Size: %u\nSize: %u\n", size, size * 300);
    if (number % 29 == 0)
        fprintf(file, "Provides: sample-service-%u\n", next_random(state) % 4);
    if (number > 0)
        write_relations(file, "Depends", number, state);
    if (number > 0 && next_random(state) % 4 == 0)
        write_relations(file, "Recommends", number, state);
    fprintf(file, "Description: %s %s, number %u <of a \"sample\" & more>\n",
            qualities[next_random(state) % (sizeof(qualities) / sizeof(*qualities))],
            things[next_random(state) % (sizeof(things) / sizeof(*things))], number);
    fprintf(file, " What a longer description says.\n .\n In two paragraphs.\n\n");
}

void index_write_sample(FILE *file, unsigned count)
{
    uint64_t state = 2024;
    for (unsigned number = 0; number < count; number++)
        write_package(file, number, &state);
}
