/* A real memcached on a Unix socket, in a directory of its own, that dies with the test. */
#include "memcached_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scripted_server.h"

#define ARGUMENTS_MAX 32
#define TCP_PORT_ANY 65536u
#define START_TRIES 5000 /* of 2 ms each */

struct memcached_server {
    struct memcached_server *next; /* all of this process, for clean-up at exit */
    pid_t owner;                   /* who started it: a forked child leaves it alone */
    pid_t pid;                     /* 0: not running */
    char directory[48];
    char path[80];
    unsigned port;                      /* 0: a Unix socket; before it is known TCP_PORT_ANY */
    char *arguments[ARGUMENTS_MAX + 1]; /* the caller's, copied for a restart */
};

static struct memcached_server *running; /* one thread starts and stops servers */

static void give_up(const char *what)
{
    fprintf(stderr, "memcached_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void nap(long milliseconds)
{
    struct timespec pause = {0, milliseconds * 1000000};
    nanosleep(&pause, NULL);
}

static void stop_all(void)
{
    while (running != NULL && running->owner == getpid())
        memcached_server_stop(running);
}

/* Where memcached writes down which port it has found. Source: memcached.c, -p -1. */
static void port_file(const struct memcached_server *server, char *path, size_t size)
{
    snprintf(path, size, "%s/port", server->directory);
}

/* In the child: nothing but system calls between fork() and exec(). */
static void become_memcached(char *const *command, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execvp(command[0], command);
    _exit(127);
}

static void launch(struct memcached_server *server)
{
    static char *const fixed[] = {"memcached", "-a", "700", "-t", "2", "-m", "64"};
    char *command[ARGUMENTS_MAX + 16];
    size_t count = 0;
    for (; count < sizeof(fixed) / sizeof(fixed[0]); count++)
        command[count] = fixed[count];
    char port[16], file[80];
    if (server->port == 0) {
        command[count++] = "-s";
        command[count++] = server->path;
    } else {
        snprintf(port, sizeof(port), "%d", server->port == TCP_PORT_ANY ? -1 : (int)server->port);
        port_file(server, file, sizeof(file));
        setenv("MEMCACHED_PORT_FILENAME", file, 1);
        command[count++] = "-l";
        command[count++] = "127.0.0.1";
        command[count++] = "-p";
        command[count++] = port;
    }
    if (geteuid() == 0) { /* memcached wants to be told whom to run as */
        command[count++] = "-u";
        command[count++] = "root";
    }
    for (size_t i = 0; server->arguments[i] != NULL; i++)
        command[count++] = server->arguments[i];
    command[count] = NULL;

    pid_t parent = getpid();
    server->pid = fork();
    if (server->pid < 0)
        give_up("fork");
    if (server->pid == 0)
        become_memcached(command, parent);
    unsetenv("MEMCACHED_PORT_FILENAME");
}

static int answers_version(const char *path)
{
    static const char request[] = "version\r\n";
    int descriptor = scripted_dial(path);
    if (descriptor < 0)
        return 0;
    char reply[64] = "";
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};
    int answered = send(descriptor, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
                   poll(&readable, 1, 1000) == 1 &&
                   recv(descriptor, reply, sizeof(reply) - 1, 0) > 0;
    close(descriptor);
    /* With SASL on, the text protocol is refused: that is an answer too. */
    return answered;
}

static int reads_port(struct memcached_server *server)
{
    char path[80];
    port_file(server, path, sizeof(path));
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int found = fscanf(file, "TCP INET: %u", &server->port) == 1;
    fclose(file);
    unlink(path);
    return found;
}

static int lets_in(const struct memcached_server *server)
{
    int descriptor = scripted_dial_tcp(server->port);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static int answers(struct memcached_server *server)
{
    if (server->port == 0)
        return answers_version(server->path);
    return (server->port != TCP_PORT_ANY || reads_port(server)) && lets_in(server);
}

static void wait_until_it_answers(struct memcached_server *server)
{
    for (int i = 0; i < START_TRIES; i++) {
        if (answers(server))
            return;
        if (waitpid(server->pid, NULL, WNOHANG) != 0) {
            server->pid = 0;
            break;
        }
        nap(2);
    }
    give_up("memcached does not start");
}

static struct memcached_server *start(const char *const *arguments, unsigned port)
{
    struct memcached_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        give_up("calloc");
    memcpy(server->directory, "/tmp/larder-test-XXXXXX", sizeof("/tmp/larder-test-XXXXXX"));
    if (mkdtemp(server->directory) == NULL)
        give_up("mkdtemp");
    snprintf(server->path, sizeof(server->path), "%s/memcached.sock", server->directory);
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL && i < ARGUMENTS_MAX; i++)
        if ((server->arguments[i] = strdup(arguments[i])) == NULL)
            give_up("strdup");

    static int registered;
    if (!registered)
        registered = atexit(stop_all) == 0;
    server->owner = getpid();
    server->port = port;
    server->next = running;
    running = server;
    launch(server);
    wait_until_it_answers(server);
    return server;
}

struct memcached_server *memcached_server_start(const char *const *arguments)
{
    return start(arguments, 0);
}

struct memcached_server *memcached_server_start_tcp(const char *const *arguments)
{
    return start(arguments, TCP_PORT_ANY);
}

unsigned memcached_server_tcp_port(const struct memcached_server *server)
{
    return server->port;
}

const char *memcached_server_path(const struct memcached_server *server)
{
    return server->path;
}

pid_t memcached_server_pid(const struct memcached_server *server)
{
    return server->pid;
}

void memcached_server_kill(struct memcached_server *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    server->pid = 0;
}

void memcached_server_restart(struct memcached_server *server)
{
    memcached_server_kill(server);
    launch(server);
    wait_until_it_answers(server);
}

void memcached_server_pause(struct memcached_server *server)
{
    int state = 0;
    kill(server->pid, SIGSTOP);
    /* SIGSTOP is not instant: only the wait says that no thread of it runs any more. */
    if (waitpid(server->pid, &state, WUNTRACED) != server->pid || !WIFSTOPPED(state))
        give_up("memcached does not stop");
}

void memcached_server_resume(struct memcached_server *server)
{
    kill(server->pid, SIGCONT);
}

static void forget(struct memcached_server *server)
{
    struct memcached_server **link = &running;
    while (*link != NULL && *link != server)
        link = &(*link)->next;
    if (*link != NULL)
        *link = server->next;
}

void memcached_server_stop(struct memcached_server *server)
{
    if (server == NULL)
        return;
    forget(server);
    memcached_server_kill(server);
    char file[80];
    unlink(server->path);
    port_file(server, file, sizeof(file));
    unlink(file); /* of a restart, which knew the port */
    rmdir(server->directory);
    for (size_t i = 0; server->arguments[i] != NULL; i++)
        free(server->arguments[i]);
    free(server);
}
