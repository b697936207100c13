/* Clients: one libmemcached handle per server, dialled on demand, thrown away on any doubt. */
#include "edge.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>

struct client *client_create(const struct edge *edge)
{
    size_t links = edge->site_count * sizeof(struct link);
    struct client *client = calloc(1, sizeof(*client) + links);
    if (client != NULL)
        client->generation = edge->generation;
    return client;
}

void client_free(struct edge *edge, struct client *client)
{
    if (client == NULL)
        return;
    client_leave_inherited(edge, client);
    for (uint32_t i = 0; i < edge->site_count; i++)
        link_drop(edge, client, i);
    free(client);
}

/* memcached_free() would send "quit" on the parent's connection, so what is inherited is left as it
 * is: the handle's memory and its descriptor, once per connection and fork. */
void client_leave_inherited(struct edge *edge, struct client *client)
{
    if (client->generation == edge->generation)
        return;
    for (uint32_t i = 0; i < edge->site_count; i++) {
        if (client->links[i].handle == NULL)
            continue;
        client->links[i].handle = NULL;
        EDGE_COUNT(edge, links_abandoned);
    }
    client->link_count = 0;
    client->generation = edge->generation;
}

/* ---- memory -------------------------------------------------------------------------------- */

/* libmemcached allocates whatever length a reply announces. */
#define ALLOCATION_MAX ITEM_BYTES_MAX

static void *bounded_malloc(const memcached_st *handle, const size_t size, void *context)
{
    (void)handle, (void)context;
    return size <= ALLOCATION_MAX ? malloc(size) : NULL;
}

static void *bounded_realloc(const memcached_st *handle, void *block, const size_t size,
                             void *context)
{
    (void)handle, (void)context;
    return size <= ALLOCATION_MAX ? realloc(block, size) : NULL;
}

static void *bounded_calloc(const memcached_st *handle, size_t count, const size_t size,
                            void *context)
{
    (void)handle, (void)context;
    return count <= ALLOCATION_MAX && size <= ALLOCATION_MAX ? calloc(count, size) : NULL;
}

static void plain_free(const memcached_st *handle, void *block, void *context)
{
    (void)handle, (void)context;
    free(block);
}

/* ---- handles ------------------------------------------------------------------------------- */

static const memcached_instance_st *instance_of(const struct link *link)
{
    return memcached_server_instance_by_position(link->handle, 0);
}

static int set(memcached_st *handle, memcached_behavior_t behaviour, uint64_t value)
{
    return memcached_success(memcached_behavior_set(handle, behaviour, value));
}

/* Where libmemcached shall connect to: a number or a path, never a name, since it would resolve it
 * inside the call. */
static int add_site(memcached_st *handle, struct site *site)
{
    char resolved[LARDER_ADDRESS_BYTES];
    const char *address = site->address;
    if (larder_server_is_unix(site->server))
        return memcached_success(memcached_server_add_unix_socket(handle, site->server->host));
    if (site->name != NULL) {
        if (!larder_name_address(site->name, resolved))
            return 0;
        address = resolved;
    }
    return memcached_success(memcached_server_add(handle, address, (in_port_t)site->server->port));
}

static int configure(memcached_st *handle, const struct config *config)
{
    if (config->sasl_user != NULL && memcached_failed(memcached_set_sasl_auth_data(
                                         handle, config->sasl_user, config->sasl_password)))
        return 0;
    return set(handle, MEMCACHED_BEHAVIOR_BINARY_PROTOCOL, (uint64_t)config->binary) &&
           set(handle, MEMCACHED_BEHAVIOR_TCP_NODELAY, (uint64_t)config->nodelay) &&
           set(handle, MEMCACHED_BEHAVIOR_TCP_KEEPALIVE, (uint64_t)config->keepalive) &&
           (!config->keepalive || set(handle, MEMCACHED_BEHAVIOR_TCP_KEEPIDLE, config->keepidle_s));
}

/* @return a handle for one site, NULL without an address or memory */
static memcached_st *handle_create(const struct edge *edge, struct site *site)
{
    memcached_st *handle = memcached_create(NULL);
    if (handle != NULL &&
        memcached_success(memcached_set_memory_allocators(handle, bounded_malloc, plain_free,
                                                          bounded_realloc, bounded_calloc, NULL)) &&
        configure(handle, edge->config) && add_site(handle, site))
        return handle;
    memcached_free(handle);
    return NULL;
}

static void set_connect_timeout(const struct edge *edge, struct link *link)
{
    uint64_t connect_ms = edge->config->connect_timeout_ms;
    if ((uint64_t)link->timeout_ms < connect_ms)
        connect_ms = (uint64_t)link->timeout_ms;
    set(link->handle, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, connect_ms);
}

/* ---- links --------------------------------------------------------------------------------- */

static enum larder_status dial_failure(enum fate fate)
{
    if (fate == FATE_TIMEOUT)
        return LARDER_TIMEOUT;
    return fate == FATE_PROTOCOL ? LARDER_PROTOCOL : LARDER_UNAVAILABLE;
}

static void link_free(struct link *link)
{
    /* "quit" goes out with the handle; it must not wait for a server that hangs. */
    set(link->handle, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 1);
    memcached_result_free(&link->result);
    memcached_free(link->handle);
    link->handle = NULL;
}

/* Connects and makes sure that somebody answers. */
static enum larder_status link_greet(struct edge *edge, struct link *link, uint64_t deadline_ns)
{
    if (!link_set_deadline(link, deadline_ns))
        return LARDER_TIMEOUT;
    set_connect_timeout(edge, link);
    memcached_return_t code = memcached_version(link->handle);
    if (code == MEMCACHED_SUCCESS && link_alive(link))
        return LARDER_OK;
    return dial_failure(link_fate(link, code));
}

enum larder_status link_dial(struct edge *edge, struct client *client, uint32_t site,
                             uint64_t deadline_ns)
{
    struct link *link = &client->links[site];
    struct site *to = &edge->sites[site];
    uint64_t epoch = atomic_load_explicit(&to->epoch, memory_order_relaxed);
    memset(link, 0, sizeof(*link));
    link->epoch = epoch;
    link->handle = handle_create(edge, to);
    if (link->handle == NULL)
        return to->name != NULL ? LARDER_UNAVAILABLE : LARDER_NO_MEMORY;
    memcached_result_create(link->handle, &link->result);
    enum larder_status status = link_greet(edge, link, deadline_ns);
    if (status != LARDER_OK) {
        EDGE_COUNT(edge, dials_failed);
        link_free(link);
        return status;
    }
    EDGE_COUNT(edge, dials);
    EDGE_COUNT(edge, links_open);
    client->link_count++;
    return LARDER_OK;
}

void link_drop(struct edge *edge, struct client *client, uint32_t site)
{
    struct link *link = &client->links[site];
    if (link->handle == NULL)
        return;
    link_free(link);
    client->link_count--;
    EDGE_UNCOUNT(edge, links_open);
}

int link_set_deadline(struct link *link, uint64_t deadline_ns)
{
    uint64_t left_ms = larder_deadline_left_ms(deadline_ns);
    uint64_t timeout_ms = left_ms > 0 ? left_ms : 1; /* 0 would fail even what needs no wait */
    if (timeout_ms > INT32_MAX)
        timeout_ms = INT32_MAX;
    if ((int32_t)timeout_ms != link->timeout_ms)
        set(link->handle, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, timeout_ms);
    link->timeout_ms = (int32_t)timeout_ms;
    return left_ms > 0;
}

void link_set_cas(struct link *link, int cas)
{
    if (link->cas != cas)
        set(link->handle, MEMCACHED_BEHAVIOR_SUPPORT_CAS, (uint64_t)cas);
    link->cas = cas;
}

/* libmemcached ends a value with two zeros, without a look at whether the length (2^64 - 2, say) is
 * that of its buffer. They go right before it then, where no allocator minds two zeros; but there
 * must be a buffer. */
static int link_reserve(struct link *link)
{
    return memcached_result_value(&link->result) != NULL ||
           memcached_success(memcached_result_set_value(&link->result, "", 1));
}

/* With a count of 0, libmemcached would call any line that is no value NOTFOUND. */
memcached_result_st *link_fetch(struct link *link, memcached_return_t *code)
{
    *code = MEMCACHED_MEMORY_ALLOCATION_FAILURE;
    if (!link_reserve(link))
        return NULL;
    link->result.count = 1;
    return memcached_fetch_result(link->handle, &link->result, code);
}

#define KEPT_BYTES_MAX 65536u

void link_trim(struct link *link, size_t length)
{
    if (length <= KEPT_BYTES_MAX)
        return;
    memcached_result_free(&link->result);
    memcached_result_create(link->handle, &link->result);
}

/* link_dial() made libmemcached read the server's version, which it forgets when it closes the
 * connection: the one sign of a close that its interface shows. */
int link_alive(const struct link *link)
{
    return memcached_server_major_version(instance_of(link)) != UINT8_MAX;
}

int link_answered(const struct link *link, memcached_return_t code)
{
    return code == MEMCACHED_END && link_alive(link) &&
           memcached_last_error(link->handle) == MEMCACHED_SUCCESS;
}

static enum fate fate_of_code(memcached_return_t code)
{
    switch (code) {
    case MEMCACHED_TIMEOUT:
    case MEMCACHED_IN_PROGRESS:
        return FATE_TIMEOUT;
    case MEMCACHED_CONNECTION_FAILURE:
    case MEMCACHED_CONNECTION_BIND_FAILURE:
    case MEMCACHED_CONNECTION_SOCKET_CREATE_FAILURE:
    case MEMCACHED_HOST_LOOKUP_FAILURE:
    case MEMCACHED_FAIL_UNIX_SOCKET:
    case MEMCACHED_ERRNO:
    case MEMCACHED_WRITE_FAILURE:
    case MEMCACHED_SERVER_MARKED_DEAD:
    case MEMCACHED_SERVER_TEMPORARILY_DISABLED:
        return FATE_CLOSED;
    default:
        return FATE_PROTOCOL;
    }
}

/* The handle's last error is nearer to the cause than what a call makes of it: libmemcached says
 * NOTFOUND for most things that went wrong while it read. */
enum fate link_fate(const struct link *link, memcached_return_t code)
{
    memcached_return_t cause = memcached_last_error(link->handle);
    return fate_of_code(cause != MEMCACHED_SUCCESS ? cause : code);
}
