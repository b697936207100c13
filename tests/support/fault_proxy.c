/* A proxy that does one fault at one byte, or faults by chance. */
#include "fault_proxy.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dice.h"
#include "scripted_server.h"

#define CHUNK_BYTES 16384

struct fault_proxy {
    struct scripted_server *server;
    const char *path; /* NULL: */
    unsigned port;
    pthread_mutex_t mutex;
    struct fault fault;     /* guarded by mutex, as is what follows */
    struct fault_mix mix;   /* per_mille 0: none */
    _Atomic unsigned armed; /* steps with each fault_proxy_set() */
    _Atomic size_t passed[2];
    _Atomic unsigned long struck[FAULT_KINDS];
};

/* One connection: the two ends, and how far each direction has come. */
struct passage {
    struct fault_proxy *proxy;
    int ends[2]; /* [FAULT_REQUEST] where requests come from, [FAULT_REPLY] where replies do */
    unsigned number;
    unsigned armed; /* of the fault below */
    struct fault fault;
    struct fault_mix mix;
    struct dice dice; /* the mix's */
    size_t passed[2];
    int stalled[2];
};

static void take_fault(struct passage *passage)
{
    unsigned armed = atomic_load(&passage->proxy->armed);
    if (armed == passage->armed)
        return;
    pthread_mutex_lock(&passage->proxy->mutex);
    passage->fault = passage->proxy->fault;
    passage->mix = passage->proxy->mix;
    pthread_mutex_unlock(&passage->proxy->mutex);
    passage->armed = armed;
    passage->dice.state = passage->mix.seed + passage->number;
    memset(passage->passed, 0, sizeof(passage->passed));
    memset(passage->stalled, 0, sizeof(passage->stalled));
}

/* TCP answers a disconnect with a reset. */
static void reset(int descriptor)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    (void)connect(descriptor, &nowhere, sizeof(nowhere));
}

static int pass(struct passage *passage, enum fault_side side, const char *bytes, size_t length)
{
    int to = passage->ends[side == FAULT_REQUEST ? FAULT_REPLY : FAULT_REQUEST];
    passage->passed[side] += length;
    /* before it is sent: whoever has the bytes sees them counted */
    atomic_fetch_add(&passage->proxy->passed[side], length);
    return scripted_send(to, bytes, length);
}

static int drip(struct passage *passage, enum fault_side side, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        scripted_pause(passage->fault.pause_ms);
        if (!pass(passage, side, bytes + i, 1))
            return 0;
    }
    return 1;
}

/* What happens at the byte. @return 0 when the connection ends */
static int strike(struct passage *passage, enum fault_side side, char *bytes, size_t length)
{
    switch (passage->fault.kind) {
    case FAULT_CUT:
        return 0;
    case FAULT_RESET:
        reset(passage->ends[FAULT_REQUEST]);
        return 0;
    case FAULT_STALL:
        passage->stalled[side] = 1;
        return 1;
    case FAULT_DRIP:
        return drip(passage, side, bytes, length);
    case FAULT_CORRUPT:
        bytes[0] = (char)(bytes[0] ^ passage->fault.mask);
        passage->fault.kind = FAULT_NONE;
        break;
    case FAULT_LATE:
        scripted_pause(passage->fault.pause_ms);
        passage->fault.kind = FAULT_NONE;
        break;
    case FAULT_NONE:
        break;
    }
    return pass(passage, side, bytes, length);
}

static int concerns(const struct passage *passage, enum fault_side side)
{
    const struct fault *fault = &passage->fault;
    return fault->kind != FAULT_NONE && fault->side == side &&
           (fault->connection == 0 || fault->connection == passage->number);
}

static int carry(struct passage *passage, enum fault_side side, char *bytes, size_t length)
{
    if (!concerns(passage, side))
        return pass(passage, side, bytes, length);
    size_t at = passage->fault.at, passed = passage->passed[side];
    size_t before = at > passed ? at - passed : 0;
    if (before > length)
        before = length;
    if (before > 0 && !pass(passage, side, bytes, before))
        return 0;
    /* a cut at the last byte comes right behind it, without waiting for another */
    int ends = passage->fault.kind == FAULT_CUT || passage->fault.kind == FAULT_RESET;
    if (before == length && !(ends && passage->passed[side] == at))
        return 1;
    return strike(passage, side, bytes + before, length - before);
}

/* ---- faults by chance ---------------------------------------------------------------------- */

/* Of a line that begins as replies do, and no value of a test: a capital letter. @return 0: none */
static size_t line_length(const char *bytes, size_t length)
{
    const char *end = memchr(bytes, '\n', length);
    return bytes[0] >= 'A' && bytes[0] <= 'Z' && end != NULL ? (size_t)(end - bytes) + 1 : 0;
}

/* Of this piece alone. Masks that make no digit of another one: a length that is wrong, and fits
 * what follows by chance, could not be found by anybody either. */
static struct fault draw_fault(struct passage *passage, enum fault_side side, const char *bytes,
                               size_t length)
{
    struct fault fault = {.side = side, .kind = FAULT_NONE};
    struct dice *dice = &passage->dice;
    if (roll(dice, 1000) >= passage->mix.per_mille)
        return fault;
    fault.kind = (enum fault_kind)(1 + roll(dice, FAULT_KINDS - 1));
    int ends = fault.kind == FAULT_CUT || fault.kind == FAULT_RESET;
    size_t range = ends ? length + 1 : length;
    if (fault.kind == FAULT_CORRUPT)
        range = side == FAULT_REPLY ? line_length(bytes, length) : 0;
    if (range == 0) {
        fault.kind = FAULT_LATE;
        range = length;
    }
    fault.at = passage->passed[side] + roll(dice, range);
    fault.mask = (unsigned char)(0x10u << roll(dice, 4));
    fault.pause_ms = fault.kind == FAULT_LATE ? passage->mix.late_ms : (unsigned)roll(dice, 2);
    return fault;
}

static int carry_by_chance(struct passage *passage, enum fault_side side, char *bytes,
                           size_t length)
{
    passage->fault = draw_fault(passage, side, bytes, length);
    if (passage->fault.kind != FAULT_NONE)
        atomic_fetch_add(&passage->proxy->struck[passage->fault.kind], 1);
    int goes_on = carry(passage, side, bytes, length);
    passage->fault.kind = FAULT_NONE;
    return goes_on;
}

/* ---- connections --------------------------------------------------------------------------- */

/* @return 0 when the connection ends */
static int move(struct passage *passage, enum fault_side side)
{
    char bytes[CHUNK_BYTES];
    ssize_t got = recv(passage->ends[side], bytes, sizeof(bytes), 0);
    if (got < 0 && errno == EINTR)
        return 1;
    if (got <= 0)
        return 0;
    take_fault(passage);
    return passage->mix.per_mille > 0 ? carry_by_chance(passage, side, bytes, (size_t)got)
                                      : carry(passage, side, bytes, (size_t)got);
}

/* A stalled direction is not read: its sender fills up, as behind a stopped server. When that one
 * has closed, nothing comes of it any more. */
static int wait_and_move(struct passage *passage)
{
    struct pollfd polled[2];
    for (int side = 0; side < 2; side++)
        polled[side] = (struct pollfd){.fd = passage->ends[side],
                                       .events = passage->stalled[side] ? POLLRDHUP : POLLIN};
    if (poll(polled, 2, -1) < 0)
        return errno == EINTR;
    for (int side = 0; side < 2; side++) {
        int gone =
            passage->stalled[side] && (polled[side].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
        if (gone || ((polled[side].revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
                     !passage->stalled[side] && !move(passage, (enum fault_side)side)))
            return 0;
    }
    return 1;
}

static int dial(const struct fault_proxy *proxy)
{
    return proxy->path != NULL ? scripted_dial(proxy->path) : scripted_dial_tcp(proxy->port);
}

static void serve(void *context, int descriptor, unsigned number)
{
    struct fault_proxy *proxy = context;
    struct passage passage = {
        .proxy = proxy, .ends = {descriptor, dial(proxy)}, .number = number, .armed = 0};
    if (passage.ends[FAULT_REPLY] < 0)
        return;
    while (wait_and_move(&passage))
        continue;
    close(passage.ends[FAULT_REPLY]);
}

static struct fault_proxy *start(const char *path, unsigned port)
{
    struct fault_proxy *proxy = calloc(1, sizeof(*proxy));
    if (proxy == NULL || pthread_mutex_init(&proxy->mutex, NULL) != 0) {
        fprintf(stderr, "fault_proxy: no memory\n");
        exit(1);
    }
    proxy->path = path;
    proxy->port = port;
    atomic_store(&proxy->armed, 1);
    proxy->server = scripted_server_start_tcp(serve, proxy);
    return proxy;
}

struct fault_proxy *fault_proxy_start(const char *path)
{
    return start(path, 0);
}

struct fault_proxy *fault_proxy_start_tcp(unsigned port)
{
    return start(NULL, port);
}

unsigned fault_proxy_port(const struct fault_proxy *proxy)
{
    return scripted_server_port(proxy->server);
}

unsigned fault_proxy_connections(const struct fault_proxy *proxy)
{
    return scripted_server_connections(proxy->server);
}

static void arm(struct fault_proxy *proxy, const struct fault *fault, const struct fault_mix *mix)
{
    pthread_mutex_lock(&proxy->mutex);
    proxy->fault = *fault;
    proxy->mix = *mix;
    pthread_mutex_unlock(&proxy->mutex);
    atomic_store(&proxy->passed[FAULT_REQUEST], 0);
    atomic_store(&proxy->passed[FAULT_REPLY], 0);
    atomic_fetch_add(&proxy->armed, 1);
}

void fault_proxy_set(struct fault_proxy *proxy, const struct fault *fault)
{
    const struct fault_mix none = {0};
    arm(proxy, fault, &none);
}

void fault_proxy_mix(struct fault_proxy *proxy, const struct fault_mix *mix)
{
    const struct fault none = {.kind = FAULT_NONE};
    arm(proxy, &none, mix);
}

unsigned long fault_proxy_struck(const struct fault_proxy *proxy, enum fault_kind kind)
{
    return atomic_load(&proxy->struck[kind]);
}

size_t fault_proxy_passed(const struct fault_proxy *proxy, enum fault_side side)
{
    return atomic_load(&proxy->passed[side]);
}

void fault_proxy_stop(struct fault_proxy *proxy)
{
    if (proxy == NULL)
        return;
    scripted_server_stop(proxy->server);
    pthread_mutex_destroy(&proxy->mutex);
    free(proxy);
}
