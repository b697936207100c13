/* apt-cache's output is spooled to a nameless temporary file first: its length is known then, and
 * an apt-cache that fails half-way has built nothing. */
#include "index.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals.h"

static int open_path(struct index *index, const char *path)
{
    index->file = fopen(path, "re");
    if (index->file == NULL || fseeko(index->file, 0, SEEK_END) != 0) {
        fprintf(stderr, "packages: %s: %s\n", path, strerror(errno));
        index_close(index);
        return -1;
    }
    index->bytes = (uint64_t)ftello(index->file);
    rewind(index->file);
    return 0;
}

static void run_apt_cache(int output)
{
    signals_restore_in_child();
    dup2(output, STDOUT_FILENO);
    execlp("apt-cache", "apt-cache", "dumpavail", (char *)NULL);
    _exit(127);
}

static bool spool(FILE *spooled)
{
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0)
        run_apt_cache(fileno(spooled));
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int open_apt(struct index *index)
{
    index->file = tmpfile();
    if (index->file == NULL || !spool(index->file) || fseeko(index->file, 0, SEEK_END) != 0) {
        fprintf(stderr, "packages: `apt-cache dumpavail` does not work here; give a package index "
                        "with --packages FILE, or make one up: --sample 3000 > FILE\n");
        index_close(index);
        return -1;
    }
    index->bytes = (uint64_t)ftello(index->file);
    rewind(index->file);
    return 0;
}

int index_open(struct index *index, const char *path)
{
    *index = (struct index){0};
    return path != NULL ? open_path(index, path) : open_apt(index);
}

void index_close(struct index *index)
{
    if (index->file != NULL)
        fclose(index->file);
    index->file = NULL;
}
