#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "moment.h"
#include "others.h"

#define OWN_ARGUMENTS 4 /* the most that child_arguments() adds, with the terminator */

/* Ours come first: behind the caller's there might be an end of options. */
static char **child_arguments(const struct subject *subject, int loaded, char **arguments)
{
    size_t count = 0, at = 0;
    while (arguments[count] != NULL)
        count++;
    char **all = calloc(count + OWN_ARGUMENTS, sizeof(*all));
    if (all == NULL)
        return NULL;
    static char subject_option[] = "--subject", loaded_option[] = "--loaded";
    all[at++] = arguments[0];
    all[at++] = subject_option;
    all[at++] = subject->uri;
    if (loaded)
        all[at++] = loaded_option;
    memcpy(all + at, arguments + 1, count * sizeof(*all)); /* the terminator too */
    return all;
}

/* In the child: nothing but system calls between fork() and exec(). */
static void become(const char *program, char **arguments, int output, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && dup2(output, STDOUT_FILENO) >= 0)
        execv(program, arguments);
    _exit(127);
}

/* A peer's program lies beside this one. */
static int program_path(char *path, size_t size, enum plan_peer peer)
{
    const char *suffix = plan_peer_program(peer);
    ssize_t length = readlink("/proc/self/exe", path, size - strlen(suffix) - 1);
    if (length < 0)
        return 0;
    memcpy(path + length, suffix, strlen(suffix) + 1);
    if (access(path, X_OK) == 0)
        return 1;
    fprintf(stderr, "larder-bench: %s is not there: was it left out of the build?\n", path);
    return 0;
}

static pid_t start(const struct subject *subject, char **arguments, int pipe_ends[2])
{
    char path[4096];
    if (!program_path(path, sizeof(path), plan_peer_of(subject->name)) || pipe(pipe_ends) != 0)
        return -1;
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(pipe_ends[0]);
        become(path, arguments, pipe_ends[1], parent);
    }
    close(pipe_ends[1]);
    if (child < 0)
        close(pipe_ends[0]);
    return child;
}

static int take_lines(struct results *results, struct subject *subject, unsigned round,
                      int descriptor)
{
    char line[256];
    int right = 1;
    FILE *lines = fdopen(descriptor, "r");
    while (lines != NULL && fgets(line, sizeof(line), lines) != NULL)
        if (!results_take(results, subject, round, line)) {
            fprintf(stderr, "larder-bench: unexpected line: %s", line);
            right = 0;
        }
    if (lines != NULL)
        fclose(lines);
    return right && lines != NULL;
}

static int run(struct results *results, struct subject *subject, unsigned round, char **arguments)
{
    int pipe_ends[2], state = 0;
    pid_t child = start(subject, arguments, pipe_ends);
    if (child < 0)
        return 0;
    int right = take_lines(results, subject, round, pipe_ends[0]);
    waitpid(child, &state, 0);
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return right;
    fprintf(stderr, "larder-bench: measuring %s failed\n", subject->name);
    return 0;
}

int child_measure(struct results *results, struct subject *subject, unsigned round,
                  char **arguments, pid_t server)
{
    /* what a server holds outlives a round */
    int remote = server != 0 || plan_peer_of(subject->name) != PLAN_PEERS;
    char **all = child_arguments(subject, remote && round > 0, arguments);
    if (all == NULL)
        return 0;
    struct others others;
    others_begin(&others, server);
    int right = run(results, subject, round, all);
    subject->others[round] = others_share(&others);
    free(all);
    return right;
}
