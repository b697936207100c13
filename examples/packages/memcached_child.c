/* Starting and stopping memcached. */
#include "memcached_child.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"

#define START_TRIES 200 /* of 10 ms each */
#define STOP_TRIES 200

static void pause_10_ms(void)
{
    const struct timespec pause = {0, 10000000};
    nanosleep(&pause, NULL);
}

static void run_memcached(const char *socket, const char *megabytes, pid_t parent)
{
    signals_restore_in_child();
    if (getppid() != parent) /* it ended before it could take us along */
        _exit(1);
    /* memcached refuses to run as root unless root is named. */
    const struct passwd *user = getpwuid(geteuid());
    execlp("memcached", "memcached", "-s", socket, "-a", "0700", "-m", megabytes, "-u",
           user != NULL ? user->pw_name : "nobody", (char *)NULL);
    _exit(127);
}

static bool takes_connections(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int dialled = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken =
        dialled >= 0 && connect(dialled, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (dialled >= 0)
        close(dialled);
    return taken;
}

/* Waits for the child's end. @return whether it came */
static bool ended(struct memcached_child *child)
{
    if (child->pid > 0 && waitpid(child->pid, NULL, WNOHANG) != 0)
        child->pid = 0;
    return child->pid <= 0;
}

int memcached_start(struct memcached_child *child, const char *folder, unsigned megabytes)
{
    char size[16];
    *child = (struct memcached_child){0};
    snprintf(size, sizeof(size), "%u", megabytes);
    text_format(&child->socket, "%s/memcached.sock", folder);
    pid_t parent = getpid();
    child->pid = child->socket.failed ? -1 : fork();
    if (child->pid == 0)
        run_memcached(child->socket.data, size, parent);
    for (int i = 0; i < START_TRIES && !ended(child); i++) {
        if (takes_connections(child->socket.data))
            return 0;
        pause_10_ms();
    }
    memcached_stop(child);
    return -1;
}

void memcached_stop(struct memcached_child *child)
{
    if (child->pid > 0)
        kill(child->pid, SIGTERM);
    for (int i = 0; i < STOP_TRIES && !ended(child); i++)
        pause_10_ms();
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
        child->pid = 0;
    }
    if (child->socket.data != NULL)
        unlink(child->socket.data);
    text_free(&child->socket);
}
