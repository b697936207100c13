/*
 * Replays a corpus and mutations of it, without a fuzzer: every file of a folder as it is, and as
 * often as asked with a few bytes changed. An input that breaks the target ends the program; its
 * name is the last one printed, and the seed says which mutation it was.
 *
 *     replay_TARGET FOLDER MUTATIONS SEED
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dice.h"

#define PATH_BYTES 4096
#define INPUT_BYTES_MAX 65536u

struct replay {
    const char *folder;
    unsigned long mutations; /* of each input */
    uint64_t seed;
    unsigned inputs;
    unsigned failed; /* could not be read, or are too long */
};

/* Exactly as long as the input, so that a sanitizer sees a byte too many. */
static int run(const uint8_t *bytes, size_t length)
{
    uint8_t *exact = malloc(length > 0 ? length : 1);
    if (exact == NULL)
        return 0;
    memcpy(exact, bytes, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    return 1;
}

static size_t mutate(struct dice *dice, uint8_t *bytes, size_t length)
{
    size_t position = length > 0 ? roll(dice, length) : 0;
    if (length == 0)
        return 0;
    switch (roll(dice, 4)) {
    case 0:
        bytes[position] = (uint8_t)roll(dice, 256);
        return length;
    case 1: /* cut */
        return position;
    case 2: /* one byte less */
        memmove(bytes + position, bytes + position + 1, length - position - 1);
        return length - 1;
    default: /* one byte twice */
        if (length == INPUT_BYTES_MAX)
            return length;
        memmove(bytes + position + 1, bytes + position, length - position);
        return length + 1;
    }
}

static int run_mutations(const struct replay *replay, const uint8_t *bytes, size_t length)
{
    static uint8_t mutant[INPUT_BYTES_MAX];
    struct dice dice = {replay->seed};
    int is_run = 1;
    for (unsigned long i = 0; i < replay->mutations && is_run; i++) {
        size_t left = length;
        memcpy(mutant, bytes, length);
        for (uint64_t steps = 1 + roll(&dice, 3); steps > 0; steps--)
            left = mutate(&dice, mutant, left);
        is_run = run(mutant, left);
    }
    return is_run;
}

static int replay_file(const struct replay *replay, const char *path)
{
    static uint8_t bytes[INPUT_BYTES_MAX + 1]; /* one more, to see that there is more */
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return 0;
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    printf("%s: %zu bytes\n", path, length);
    fflush(stdout);
    return length <= INPUT_BYTES_MAX && run(bytes, length) && run_mutations(replay, bytes, length);
}

static void replay_folder(struct replay *replay, DIR *folder)
{
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", replay->folder, entry->d_name);
        replay->failed += !replay_file(replay, path);
        replay->inputs++;
    }
}

int main(int count, char **words)
{
    DIR *folder = count == 4 ? opendir(words[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s FOLDER MUTATIONS SEED\n", words[0]);
        return 2;
    }
    struct replay replay = {.folder = words[1],
                            .mutations = strtoul(words[2], NULL, 10),
                            .seed = strtoull(words[3], NULL, 10)};
    replay_folder(&replay, folder);
    closedir(folder);
    printf("%u inputs, %u not run, %lu mutations of each, seed %llu\n", replay.inputs,
           replay.failed, replay.mutations, (unsigned long long)replay.seed);
    return replay.inputs > 0 && replay.failed == 0 ? 0 : 1;
}
