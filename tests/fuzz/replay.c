/*
 * Replays a corpus: every file of a folder once, without a fuzzer. An input that breaks the target
 * ends the program, and its name is the last one printed.
 *
 *     replay_TARGET FOLDER
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_BYTES 4096
#define INPUT_BYTES_MAX (1u << 20)

static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    size_t length = file != NULL && bytes != NULL ? fread(bytes, 1, INPUT_BYTES_MAX, file) : 0;
    int is_read = file != NULL && bytes != NULL && feof(file);
    printf("%s: %zu bytes\n", path, length);
    fflush(stdout);
    /* exactly as long as the input, so that a sanitizer sees a byte too many */
    uint8_t *exact = is_read ? realloc(bytes, length > 0 ? length : 1) : NULL;
    if (exact != NULL)
        LLVMFuzzerTestOneInput(exact, length);
    free(exact != NULL ? exact : bytes);
    if (file != NULL)
        fclose(file);
    return exact != NULL;
}

static unsigned replay_all(DIR *folder, const char *name, unsigned *failed)
{
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", name, entry->d_name);
        *failed += !replay(path);
        count++;
    }
    return count;
}

int main(int count, char **names)
{
    unsigned failed = 0;
    DIR *folder = count == 2 ? opendir(names[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", names[0]);
        return 2;
    }
    unsigned replayed = replay_all(folder, names[1], &failed);
    closedir(folder);
    printf("%u inputs, %u not read\n", replayed, failed);
    return replayed > 0 && failed == 0 ? 0 : 1;
}
