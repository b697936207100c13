/* Servers: where each is, and the connections there are to it. */
#include "meta.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <larder/util/pool_fork.h>
#include <larder/util/pool_order.h>

/* ---- what metas have in common -------------------------------------------------------------- */

static void common_free(struct common *common)
{
    meta_tls_close(common->tls);
    meta_login_close(common->login);
    free(common);
}

enum larder_status meta_common_open(const struct larder_meta_options *options,
                                    const struct larder_message *message, struct common **opened)
{
    struct common *common = calloc(1, sizeof(*common));
    if (common == NULL)
        return LARDER_NO_MEMORY;
    atomic_init(&common->holders, 1);
    common->nodelay = options->nodelay != 0;
    common->keepalive = options->keepalive != 0;
    common->connect = options->connect;
    common->connect_context = options->connect_context;
    enum larder_status status = meta_login_open(options->login, message, &common->login);
    if (status == LARDER_OK)
        status = meta_tls_open(options, message, &common->tls);
    if (status != LARDER_OK) {
        common_free(common);
        return status;
    }
    *opened = common;
    return LARDER_OK;
}

struct common *meta_common_hold(struct common *common)
{
    atomic_fetch_add_explicit(&common->holders, 1, memory_order_relaxed);
    return common;
}

void meta_common_let_go(struct common *common)
{
    if (atomic_fetch_sub_explicit(&common->holders, 1, memory_order_acq_rel) == 1)
        common_free(common);
}

/* ---- members ------------------------------------------------------------------------------- */

/* Connects when it is first used: never waits. */
static enum larder_status create_member(void *context, void **object)
{
    struct site *site = context;
    struct member *member = malloc(sizeof(*member));
    if (member == NULL)
        return LARDER_NO_MEMORY;
    meta_connection_init(&member->connection);
    member->published = -1;
    member->epoch = 0;
    pthread_mutex_lock(&site->mutex);
    member->next = site->members;
    site->members = member;
    pthread_mutex_unlock(&site->mutex);
    *object = member;
    return LARDER_OK;
}

static void forget_member(struct site *site, struct member *member)
{
    pthread_mutex_lock(&site->mutex);
    struct member **link = &site->members;
    while (*link != NULL && *link != member)
        link = &(*link)->next;
    if (*link != NULL)
        *link = member->next;
    pthread_mutex_unlock(&site->mutex);
}

static void destroy_member(void *context, void *object)
{
    struct site *site = context;
    struct member *member = object;
    meta_site_hang_up(site, member);
    forget_member(site, member);
    free(member);
}

/* @return 0 when the cache was shut down */
static int publish(struct site *site, struct member *member)
{
    pthread_mutex_lock(&site->mutex);
    int open = site->users > 0;
    if (open)
        member->published = member->connection.descriptor;
    pthread_mutex_unlock(&site->mutex);
    return open;
}

static int find_address(const struct site *site, char address[LARDER_ADDRESS_BYTES],
                        struct endpoint *endpoint)
{
    endpoint->address = site->address;
    if (larder_server_is_unix(&site->server))
        endpoint->address = site->server.host;
    else if (endpoint->connect != NULL) /* it finds its way by the name */
        endpoint->address = site->server.host;
    else if (site->name != NULL) {
        endpoint->address = address;
        return larder_name_address(site->name, address);
    }
    return 1;
}

enum connection_step meta_site_dial(struct site *site, struct member *member)
{
    const struct common *common = site->common;
    char address[LARDER_ADDRESS_BYTES];
    struct endpoint endpoint = {.port = site->server.port,
                                .nodelay = common->nodelay,
                                .keepalive = common->keepalive,
                                .connect = common->connect,
                                .connect_context = common->connect_context,
                                .tls = site->tls,
                                .login = common->login};
    if (!find_address(site, address, &endpoint))
        return STEP_CLOSED;
    member->epoch = atomic_load_explicit(&site->epoch, memory_order_relaxed);
    enum connection_step step = meta_connection_dial(&member->connection, &endpoint);
    if (member->connection.descriptor < 0)
        return step;
    SITE_COUNT(site, dials);
    SITE_COUNT(site, connections);
    if (publish(site, member))
        return step;
    meta_site_hang_up(site, member);
    return STEP_CLOSED;
}

void meta_site_hang_up(struct site *site, struct member *member)
{
    if (member->connection.descriptor < 0)
        return;
    pthread_mutex_lock(&site->mutex);
    member->published = -1; /* before the number can belong to somebody else */
    pthread_mutex_unlock(&site->mutex);
    meta_connection_close(&member->connection);
    SITE_UNCOUNT(site, connections);
}

/* ---- life ---------------------------------------------------------------------------------- */

void meta_site_renew(struct site *site)
{
    atomic_fetch_add_explicit(&site->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&site->item_max, 0, memory_order_relaxed);
    if (site->name != NULL)
        larder_name_refresh(site->name);
}

/* A prober waits for its member and its call; who takes longer than this has died. */
static uint64_t claim_ms(const struct larder_meta_options *options)
{
    return 4 * options->timeout_ms + options->probe_ms;
}

static enum larder_status open_name(struct site *site)
{
    if (larder_server_is_unix(&site->server) || site->common->connect != NULL ||
        larder_address_numeric(site->server.host, site->address))
        return LARDER_OK;
    site->name = larder_name_resolve(site->server.host);
    return site->name != NULL ? LARDER_OK : LARDER_NO_MEMORY;
}

/* A Unix socket has no name that a certificate could be for. */
static enum larder_status open_tls(struct site *site, const struct larder_meta_options *options)
{
    const char *name = larder_server_is_unix(&site->server) ? "" : site->server.host;
    if (site->common->tls == NULL)
        return LARDER_OK;
    return meta_tls_peer_open(site->common->tls,
                              options->tls_name != NULL ? options->tls_name : name, &site->tls);
}

/* Fills in what needs room of its own. */
static enum larder_status equip(struct site *site, const struct larder_meta_options *options)
{
    const struct larder_pool_options pool = {sizeof(pool), options->size, create_member,
                                             destroy_member, site};
    enum larder_status status = open_name(site);
    if (status != LARDER_OK)
        return status;
    status = open_tls(site, options);
    if (status != LARDER_OK)
        goto release_name;
    status = larder_markdown_init(&site->markdown, options->probe_ms, claim_ms(options));
    if (status != LARDER_OK)
        goto release_name;
    if (pthread_mutex_init(&site->mutex, NULL) != 0) {
        status = LARDER_NO_MEMORY;
        goto clean_up_markdown;
    }
    status = larder_pool_open(&pool, &site->pool);
    if (status == LARDER_OK) {
        larder_pool_lend_newest(site->pool);
        return LARDER_OK;
    }
    pthread_mutex_destroy(&site->mutex);
clean_up_markdown:
    larder_markdown_clean_up(&site->markdown);
release_name:
    meta_tls_peer_close(site->tls);
    larder_name_release(site->name);
    return status;
}

enum larder_status meta_site_open(struct common *common, const struct larder_server *server,
                                  const struct larder_meta_options *options, struct site **opened)
{
    struct site *site = calloc(1, sizeof(*site));
    if (site == NULL)
        return LARDER_NO_MEMORY;
    site->common = common;
    site->server = *server;
    site->users = site->holders = 1;
    enum larder_status status = equip(site, options);
    if (status != LARDER_OK) {
        free(site);
        return status;
    }
    (void)meta_common_hold(common);
    *opened = site;
    return LARDER_OK;
}

int meta_site_share(struct site *site)
{
    pthread_mutex_lock(&site->mutex);
    int open = site->users > 0;
    site->users += (uint32_t)open;
    pthread_mutex_unlock(&site->mutex);
    site->holders += (uint32_t)open;
    return open;
}

/* What a fork left to the child's pool to forget is freed here. */
static void free_forgotten(struct site *site)
{
    while (site->members != NULL) {
        struct member *member = site->members;
        site->members = member->next;
        meta_connection_close(&member->connection);
        free(member);
    }
}

void meta_site_close(struct site *site)
{
    if (--site->holders > 0)
        return;
    larder_pool_close(site->pool);
    free_forgotten(site);
    pthread_mutex_destroy(&site->mutex);
    larder_markdown_clean_up(&site->markdown);
    meta_tls_peer_close(site->tls);
    larder_name_release(site->name);
    meta_common_let_go(site->common);
    free(site);
}

void meta_site_shut(struct site *site)
{
    pthread_mutex_lock(&site->mutex);
    int is_last = --site->users == 0;
    pthread_mutex_unlock(&site->mutex);
    if (is_last)
        larder_pool_shutdown(site->pool);
}

/* Its pool keeps nothing idle then: what there is is on loan. */
int meta_site_is_quiet(struct site *site)
{
    pthread_mutex_lock(&site->mutex);
    int is_quiet = site->users > 0 || site->members == NULL;
    pthread_mutex_unlock(&site->mutex);
    return is_quiet;
}

void meta_site_cut(struct site *site)
{
    pthread_mutex_lock(&site->mutex);
    for (struct member *member = site->members; site->users == 0 && member != NULL;
         member = member->next)
        if (member->published >= 0)
            shutdown(member->published, SHUT_RDWR);
    pthread_mutex_unlock(&site->mutex);
}

int meta_site_is_shut(struct site *site)
{
    pthread_mutex_lock(&site->mutex);
    int is_shut = site->users == 0;
    pthread_mutex_unlock(&site->mutex);
    return is_shut;
}

/* The parent's connections stay open there: closing our copy says nothing on them. What TLS keeps
 * of them is lost: a thread of the parent's may have been at work on it. */
static void leave_to_parent(struct site *site)
{
    for (struct member *member = site->members; member != NULL; member = member->next) {
        if (member->published >= 0)
            close(member->published);
        member->published = -1;
        meta_connection_init(&member->connection);
    }
    atomic_store_explicit(&site->counters.connections, 0, memory_order_relaxed);
    atomic_store_explicit(&site->common->totals.connections, 0, memory_order_relaxed);
}

/* Once for all metas that have it: the first that prepares locks, the last one afterwards unlocks.
 */
void meta_site_fork(struct site *site, enum larder_fork_step step)
{
    if (step == LARDER_FORK_PREPARE) {
        if (site->forking++ > 0)
            return;
        larder_pool_fork(site->pool, step);
        larder_markdown_fork(&site->markdown, step);
        pthread_mutex_lock(&site->mutex);
        return;
    }
    if (--site->forking > 0)
        return;
    if (step == LARDER_FORK_CHILD)
        leave_to_parent(site);
    pthread_mutex_unlock(
        &site->mutex); /* in the child as well: its thread is the one that locked */
    larder_markdown_fork(&site->markdown, step);
    larder_pool_fork(site->pool, step);
}
