/* The kinds of cache that the suite runs on, and how each is opened and closed. */
#include "contract.h"

#include <larder/client.h>
#include <larder/ephemeral.h>
#include <larder/gutter.h>
#include <larder/hot.h>
#include <larder/memory.h>
#include <larder/migration.h>
#include <larder/null.h>
#include <larder/shadow.h>
#include <larder/testing.h>
#include <larder/tracker.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef LARDER_WITH_TLS
#include "certificates.h"
#endif
#include "fault_proxy.h"
#include "memcached_server.h"
#include "oracle.h"
#ifdef LARDER_WITH_TLS
#include "tls_server.h"
#endif

/* clang-format off */
#define EVERY_SHAPE(name, leaf)                                                                    \
    {name, leaf, SHAPE_BARE},                                                                      \
    {name "_session", leaf, SHAPE_SESSION},                                                        \
    {name "_client", leaf, SHAPE_CLIENT},                                                          \
    {name "_namespace", leaf, SHAPE_NAMESPACE},                                                    \
    {name "_namespace_session", leaf, SHAPE_NAMESPACE_SESSION}
/* clang-format on */

const struct subject contract_subjects[] = {
    EVERY_SHAPE("memory", LEAF_MEMORY),
    EVERY_SHAPE("oracle", LEAF_ORACLE),
    EVERY_SHAPE("memory_observed", LEAF_MEMORY_OBSERVED),
    EVERY_SHAPE("gutter", LEAF_GUTTER),
    EVERY_SHAPE("gutter_dead", LEAF_GUTTER_DEAD),
    EVERY_SHAPE("tracker", LEAF_TRACKER),
    EVERY_SHAPE("hot", LEAF_HOT),
    EVERY_SHAPE("ephemeral", LEAF_EPHEMERAL),
    EVERY_SHAPE("migration", LEAF_MIGRATION),
    EVERY_SHAPE("migration_to", LEAF_MIGRATION_TO),
    EVERY_SHAPE("shadow", LEAF_SHADOW),
    EVERY_SHAPE("null", LEAF_NULL),
#ifdef LARDER_WITH_MEMCACHED
    EVERY_SHAPE("memcached_text", LEAF_MEMCACHED_TEXT),
    EVERY_SHAPE("memcached_binary", LEAF_MEMCACHED_BINARY),
    EVERY_SHAPE("pooled_text", LEAF_POOLED_TEXT),
    EVERY_SHAPE("pooled_binary", LEAF_POOLED_BINARY),
    EVERY_SHAPE("memcached_text_records", LEAF_MEMCACHED_TEXT_RECORDS),
    EVERY_SHAPE("memcached_binary_records", LEAF_MEMCACHED_BINARY_RECORDS),
    EVERY_SHAPE("pooled_text_records", LEAF_POOLED_TEXT_RECORDS),
#endif
#ifdef LARDER_WITH_META
    EVERY_SHAPE("meta", LEAF_META),
    EVERY_SHAPE("meta_tcp", LEAF_META_TCP),
    EVERY_SHAPE("meta_three", LEAF_META_THREE),
    EVERY_SHAPE("meta_one", LEAF_META_ONE),
    EVERY_SHAPE("meta_login", LEAF_META_LOGIN),
    EVERY_SHAPE("meta_records", LEAF_META_RECORDS),
    EVERY_SHAPE("migration_meta", LEAF_MIGRATION_META),
    EVERY_SHAPE("gutter_meta", LEAF_GUTTER_META),
    EVERY_SHAPE("gutter_dead_meta", LEAF_GUTTER_DEAD_META),
    EVERY_SHAPE("hot_meta", LEAF_HOT_META),
#endif
#ifdef LARDER_WITH_TLS
    EVERY_SHAPE("meta_tls", LEAF_META_TLS),
#endif
};
const size_t contract_subject_count = sizeof(contract_subjects) / sizeof(contract_subjects[0]);

const struct subject *subject_named(const char *name)
{
    for (size_t i = 0; i < contract_subject_count; i++)
        if (strcmp(contract_subjects[i].name, name) == 0)
            return &contract_subjects[i];
    return NULL;
}

int subject_is_null(const struct subject *subject)
{
    return subject->leaf == LEAF_NULL;
}

int subject_has_server(const struct subject *subject)
{
    return subject->leaf > LEAF_NULL; /* those without one come first */
}

int subject_is_client(const struct subject *subject)
{
    return subject->shape == SHAPE_CLIENT || subject->shape == SHAPE_NAMESPACE ||
           subject->shape == SHAPE_NAMESPACE_SESSION;
}

int subject_is_session(const struct subject *subject)
{
    return subject->shape == SHAPE_SESSION || subject->shape == SHAPE_NAMESPACE_SESSION;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* One server for the whole run, started when first needed; it ends with the program. */
static const char *shared_server_path(void)
{
    static struct memcached_server *server;
    if (server == NULL)
        server = memcached_server_start(NULL);
    return memcached_server_path(server);
}

/* Two more, for those who take three. */
static const char *other_server_path(size_t index)
{
    static struct memcached_server *servers[2];
    if (servers[index] == NULL)
        servers[index] = memcached_server_start(NULL);
    return memcached_server_path(servers[index]);
}

/* The test servers listen on Unix sockets; a proxy without a fault brings TCP. It ends with the
 * program, and its threads before, which no sanitizer is to take for lost. */
static struct tcp_server {
    struct tcp_server *next;
    struct fault_proxy *proxy;
    char path[128];
} * tcp_servers;

static void stop_tcp_servers(void)
{
    while (tcp_servers != NULL) {
        struct tcp_server *server = tcp_servers;
        tcp_servers = server->next;
        fault_proxy_stop(server->proxy);
        free(server);
    }
}

static unsigned tcp_port(const char *path)
{
    for (struct tcp_server *server = tcp_servers; server != NULL; server = server->next)
        if (strcmp(server->path, path) == 0)
            return fault_proxy_port(server->proxy);
    struct tcp_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        exit(1);
    snprintf(server->path, sizeof(server->path), "%s", path);
    server->proxy = fault_proxy_start(server->path);
    if (tcp_servers == NULL && atexit(stop_tcp_servers) != 0)
        exit(1);
    server->next = tcp_servers;
    tcp_servers = server;
    return fault_proxy_port(server->proxy);
}

/* One with -Y. A server that a test brings has none, and takes a login all the same. */
static const char *login_server_path(void)
{
    static struct memcached_server *server;
    char path[] = "/tmp/larder-login-XXXXXX";
    if (server != NULL)
        return memcached_server_path(server);
    int descriptor = mkstemp(path);
    if (descriptor < 0 || write(descriptor, "shop:s3cret\n", 12) != 12)
        exit(1);
    const char *const arguments[] = {"-Y", path, NULL};
    server = memcached_server_start(arguments);
    close(descriptor);
    unlink(path); /* it has been read */
    return memcached_server_path(server);
}

#ifdef LARDER_WITH_TLS
/* memcached itself. */
static unsigned shared_tls_port(void)
{
    static struct memcached_server *server;
    char settings[320];
    if (server != NULL)
        return memcached_server_tcp_port(server);
    const char *good = certificates_path(CERTIFICATES_GOOD);
    snprintf(settings, sizeof(settings), "ssl_chain_cert=%s,ssl_key=%s", good, good);
    const char *const arguments[] = {"-Z", "-o", settings, NULL};
    server = memcached_server_start_tcp(arguments);
    return memcached_server_tcp_port(server);
}

/* In front of those that listen on Unix sockets. As the TCP servers above. */
static struct tls_front {
    struct tls_front *next;
    struct tls_server *server;
    char path[128];
} * tls_fronts;

static void stop_tls_fronts(void)
{
    while (tls_fronts != NULL) {
        struct tls_front *front = tls_fronts;
        tls_fronts = front->next;
        tls_server_stop(front->server);
        free(front);
    }
}

static unsigned tls_port(const char *path)
{
    if (path == NULL)
        return shared_tls_port();
    struct tls_front *front = calloc(1, sizeof(*front));
    if (front == NULL || (tls_fronts == NULL && atexit(stop_tls_fronts) != 0))
        exit(1);
    snprintf(front->path, sizeof(front->path), "%s", path);
    front->server =
        tls_server_start(front->path, certificates_path(CERTIFICATES_GOOD), TLS_SERVER_GOOD);
    front->next = tls_fronts;
    tls_fronts = front;
    return tls_server_port(front->server);
}
#endif

static void must_open(enum larder_status status, const char *what, const char *message)
{
    if (status == LARDER_OK)
        return;
    fprintf(stderr, "%s does not open: %s: %s\n", what, larder_status_name(status), message);
    exit(1);
}

static int has_records(enum leaf leaf)
{
    return leaf >= LEAF_MEMCACHED_TEXT_RECORDS;
}

static int is_meta(enum leaf leaf)
{
    return (leaf >= LEAF_META && leaf <= LEAF_META_TLS) || leaf == LEAF_META_RECORDS;
}

static struct larder_cache *open_on_server(enum leaf leaf, struct server_use use,
                                           const struct larder_open_options *options)
{
    struct larder_cache *cache = NULL;
    char message[256] = "", uri[512];
    int binary = leaf == LEAF_MEMCACHED_BINARY || leaf == LEAF_POOLED_BINARY ||
                 leaf == LEAF_MEMCACHED_BINARY_RECORDS;
    int pooled =
        leaf == LEAF_POOLED_TEXT || leaf == LEAF_POOLED_BINARY || leaf == LEAF_POOLED_TEXT_RECORDS;
    snprintf(uri, sizeof(uri), "%s://%s?binary=%s&exclusive=%s&timeout=5s%s%s",
             pooled ? "pooled-memcached" : "memcached",
             use.path != NULL ? use.path : shared_server_path(), binary ? "on" : "off",
             use.shared ? "off" : "on", pooled ? "&size=3" : "",
             has_records(leaf) ? "&metadata=leases,negative" : "");
    must_open(larder_open(uri, options, &cache, message, sizeof(message)), uri, message);
    return cache;
}

/* What belongs to the leaf alone. */
static const char *meta_options(enum leaf leaf)
{
    static char options[256];
    options[0] = '\0';
    if (leaf == LEAF_META_LOGIN) {
        setenv("LARDER_CONTRACT_LOGIN", "shop s3cret", 1);
        return "&login=env:LARDER_CONTRACT_LOGIN";
    }
#ifdef LARDER_WITH_TLS
    if (leaf == LEAF_META_TLS) /* connecting includes a handshake, on a busy machine */
        snprintf(options, sizeof(options), "&tls=on&connect_timeout=5s&tls_ca=%s",
                 certificates_path(CERTIFICATES_ROOT));
#endif
    return options;
}

static void name_meta_servers(enum leaf leaf, struct server_use use, char *servers, size_t size)
{
    const char *path = use.path != NULL ? use.path : shared_server_path();
#ifdef LARDER_WITH_TLS
    if (leaf == LEAF_META_TLS) {
        snprintf(servers, size, "localhost:%u", tls_port(use.path));
        return;
    }
#endif
    if (leaf == LEAF_META_LOGIN && use.path == NULL)
        snprintf(servers, size, "%s", login_server_path());
    else if (leaf == LEAF_META_TCP)
        snprintf(servers, size, "127.0.0.1:%u", tcp_port(path));
    else if (leaf == LEAF_META_THREE && use.path == NULL)
        snprintf(servers, size, "%s,%s,%s", path, other_server_path(0), other_server_path(1));
    else /* whoever brings a server wants the keys there */
        snprintf(servers, size, "%s", path);
}

static struct larder_cache *open_meta(enum leaf leaf, struct server_use use,
                                      const struct larder_open_options *options)
{
    struct larder_cache *cache = NULL;
    char message[256] = "", servers[400], uri[1024];
    name_meta_servers(leaf, use, servers, sizeof(servers));
    snprintf(uri, sizeof(uri), "meta://%s?exclusive=%s&timeout=5s&size=%u&classic_reads=%s%s%s",
             servers, use.shared ? "off" : "on", leaf == LEAF_META_ONE ? 1u : 3u,
             leaf == LEAF_META_TCP ? "on" : "off",
             has_records(leaf) ? "&metadata=leases,negative" : "", meta_options(leaf));
    must_open(larder_open(uri, options, &cache, message, sizeof(message)), uri, message);
    return cache;
}

/* Small enough to try a value of its value_max. */
static enum larder_status open_memory(const struct larder_open_options *options,
                                      struct larder_cache **cache, char *message, size_t size)
{
    struct larder_memory_options memory = LARDER_MEMORY_OPTIONS_INIT;
    memory.max_bytes = 16u << 20;
    return larder_memory_open(&memory, options, cache, message, size);
}

static enum larder_status open_oracle(const struct larder_open_options *options,
                                      struct larder_cache **cache, char *message, size_t size)
{
    enum larder_status status = oracle_register();
    if (status != LARDER_OK && status != LARDER_EXISTS)
        return status;
    return larder_open("oracle:?value_max=16M", options, cache, message, size);
}

/* TTLs, listener and errors_as_miss are the wrapper's. */
static enum larder_status open_observed(const struct larder_open_options *options,
                                        struct larder_cache **cache, char *message, size_t size)
{
    const struct larder_observer nobody = LARDER_OBSERVER_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *memory = NULL;
    inner.clock = options->clock;
    must_open(open_memory(&inner, &memory, message, size), "memory", message);
    return larder_observed_open(memory, &nobody, options, cache, message, size);
}

/* A cache that answers everything with UNAVAILABLE. */
static struct larder_cache *kill_cache(struct fixture *fixture, struct larder_cache *cache)
{
    struct larder_fault down = LARDER_FAULT_INIT;
    struct larder_cache *dead = NULL;
    down.status = LARDER_UNAVAILABLE;
    fixture->faults = larder_faults_new(1);
    if (fixture->faults == NULL)
        exit(1);
    must_open(larder_faults_add(fixture->faults, &down), "fault", "");
    struct larder_observer observer = *larder_faults_observer(fixture->faults);
    observer.breaks = 0; /* it answers at once */
    must_open(larder_observed_open(cache, &observer, NULL, &dead, NULL, 0), "dead cache", "");
    return dead;
}

/* The longest ttl, so that tests of TTLs need not know of it. */
static struct larder_cache *open_gutter(struct fixture *fixture, struct server_use use,
                                        const struct larder_open_options *options)
{
    struct larder_gutter_options gutter = LARDER_GUTTER_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    enum leaf leaf = fixture->subject->leaf;
    inner.clock = options->clock;
    gutter.ttl_ms = 86400000;
    must_open(open_memory(&inner, &gutter.spare, message, sizeof(message)), "spare", message);
    if (leaf == LEAF_GUTTER_DEAD_META) /* nobody has ever listened there */
        use.path = "/nowhere/at-all.sock";
    if (leaf == LEAF_GUTTER_META || leaf == LEAF_GUTTER_DEAD_META)
        gutter.of = open_meta(LEAF_META, use, &inner);
    else
        must_open(open_memory(&inner, &gutter.of, message, sizeof(message)), "of", message);
    if (leaf == LEAF_GUTTER_DEAD)
        gutter.of = kill_cache(fixture, gutter.of);
    must_open(larder_gutter_open(&gutter, options, &cache, message, sizeof(message)), "gutter",
              message);
    return cache;
}

static enum larder_status open_tracker(const struct larder_open_options *options,
                                       struct larder_cache **cache, char *message, size_t size)
{
    struct larder_tracker_options tracker = LARDER_TRACKER_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    inner.clock = options->clock;
    must_open(open_memory(&inner, &tracker.of, message, size), "of", message);
    return larder_tracker_open(&tracker, options, cache, message, size);
}

static struct larder_cache *open_hot(enum leaf leaf, struct server_use use,
                                     const struct larder_open_options *options)
{
    struct larder_hot_options hot = LARDER_HOT_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    inner.clock = options->clock;
    hot.one_in = 1;
    if (leaf == LEAF_HOT_META)
        hot.of = open_meta(LEAF_META, use, &inner);
    else
        must_open(open_memory(&inner, &hot.of, message, sizeof(message)), "of", message);
    must_open(larder_hot_open(&hot, options, &cache, message, sizeof(message)), "hot", message);
    return cache;
}

/* The longest ttl, as with the gutter. */
static enum larder_status open_ephemeral(const struct larder_open_options *options,
                                         struct larder_cache **cache, char *message, size_t size)
{
    struct larder_ephemeral_options ephemeral = LARDER_EPHEMERAL_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    inner.clock = options->clock;
    ephemeral.ttl_ms = 2592000000;
    must_open(open_memory(&inner, &ephemeral.of, message, size), "of", message);
    return larder_ephemeral_open(&ephemeral, options, cache, message, size);
}

static enum larder_status open_migration(enum leaf leaf, struct server_use use,
                                         const struct larder_open_options *options,
                                         struct larder_cache **cache, char *message, size_t size)
{
    struct larder_migration_options migration = LARDER_MIGRATION_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    inner.clock = options->clock;
    migration.mode = leaf == LEAF_MIGRATION_TO ? "use_to_update_from" : "populate_reads_10_percent";
    if (leaf == LEAF_MIGRATION_META)
        migration.from = open_meta(LEAF_META, use, &inner);
    else
        must_open(open_memory(&inner, &migration.from, message, size), "from", message);
    must_open(open_memory(&inner, &migration.to, message, size), "to", message);
    return larder_migration_open(&migration, options, cache, message, size);
}

static enum larder_status open_shadow(const struct larder_open_options *options,
                                      struct larder_cache **cache, char *message, size_t size)
{
    struct larder_shadow_options shadow = LARDER_SHADOW_OPTIONS_INIT;
    struct larder_open_options inner = LARDER_OPEN_OPTIONS_INIT;
    inner.clock = options->clock;
    shadow.share = 50;
    shadow.reads = 1;
    must_open(open_memory(&inner, &shadow.of, message, size), "of", message);
    must_open(open_memory(&inner, &shadow.copy, message, size), "copy", message);
    return larder_shadow_open(&shadow, options, cache, message, size);
}

static int is_migration(enum leaf leaf)
{
    return leaf == LEAF_MIGRATION || leaf == LEAF_MIGRATION_TO || leaf == LEAF_MIGRATION_META;
}

static int is_gutter(enum leaf leaf)
{
    return leaf == LEAF_GUTTER || leaf == LEAF_GUTTER_DEAD || leaf == LEAF_GUTTER_DEAD_META ||
           leaf == LEAF_GUTTER_META;
}

static struct larder_cache *open_leaf(struct fixture *fixture, struct server_use use,
                                      const struct larder_open_options *options)
{
    const struct subject *subject = fixture->subject;
    struct larder_cache *cache = NULL;
    char message[256] = "";
    if (subject->leaf == LEAF_MEMORY)
        must_open(open_memory(options, &cache, message, sizeof(message)), "memory", message);
    else if (subject->leaf == LEAF_MEMORY_OBSERVED)
        must_open(open_observed(options, &cache, message, sizeof(message)), "observed", message);
    else if (subject->leaf == LEAF_ORACLE)
        must_open(open_oracle(options, &cache, message, sizeof(message)), "oracle", message);
    else if (subject->leaf == LEAF_NULL)
        must_open(larder_null_open(options, &cache, message, sizeof(message)), "null", message);
    else if (subject->leaf == LEAF_TRACKER)
        must_open(open_tracker(options, &cache, message, sizeof(message)), "tracker", message);
    else if (subject->leaf == LEAF_EPHEMERAL)
        must_open(open_ephemeral(options, &cache, message, sizeof(message)), "ephemeral", message);
    else if (subject->leaf == LEAF_SHADOW)
        must_open(open_shadow(options, &cache, message, sizeof(message)), "shadow", message);
    else if (is_migration(subject->leaf))
        must_open(open_migration(subject->leaf, use, options, &cache, message, sizeof(message)),
                  "migration", message);
    else if (is_gutter(subject->leaf))
        return open_gutter(fixture, use, options);
    else if (subject->leaf == LEAF_HOT || subject->leaf == LEAF_HOT_META)
        return open_hot(subject->leaf, use, options);
    else if (is_meta(subject->leaf))
        return open_meta(subject->leaf, use, options);
    else
        return open_on_server(subject->leaf, use, options);
    return cache;
}

/* Two namespaces on one backend: each is the other's witness. */
static void open_client(struct fixture *fixture, struct larder_cache *leaf,
                        const struct larder_open_options *options)
{
    const struct larder_route routes[] = {{"main", leaf, LARDER_TTL_DEFAULT, 0},
                                          {"sister", leaf, LARDER_TTL_DEFAULT, 0}};
    char message[256] = "";
    struct larder_cache *sister = NULL;
    must_open(
        larder_client_open(NULL, options, routes, 2, &fixture->owner, message, sizeof(message)),
        "client", message);
    must_open(larder_bind(fixture->owner, "sister", &sister), "namespace", "");
    int is_default = fixture->subject->shape == SHAPE_CLIENT;
    fixture->handle = is_default ? fixture->owner : sister;
    fixture->witness = is_default ? sister : fixture->owner;
}

static void open_shape(struct fixture *fixture, struct server_use use,
                       const struct larder_open_options *options)
{
    struct larder_open_options inner = *options, outer = *options;
    if (subject_is_client(fixture->subject)) {
        inner.listener = NULL;
        inner.errors_as_miss = 0;
        outer.default_ttl_ms = outer.max_ttl_ms = 0;
        open_client(fixture, open_leaf(fixture, use, &inner), &outer);
    } else {
        fixture->owner = fixture->handle = open_leaf(fixture, use, &inner);
    }
    fixture->cache = fixture->handle;
    if (subject_is_session(fixture->subject))
        must_open(larder_acquire(fixture->handle, 0, 0, &fixture->cache), "session", "");
}

void fixture_open_at(struct fixture *fixture, const struct subject *subject, const char *test,
                     const struct larder_open_options *options, struct server_use use)
{
    static unsigned opened;
    struct larder_open_options defaults = LARDER_OPEN_OPTIONS_INIT;
    memset(fixture, 0, sizeof(*fixture));
    fixture->subject = subject;
    fixture->test = test;
    fixture->number = ++opened;
    manual_clock_init(&fixture->clock);
    if (options != NULL)
        defaults = *options;
    if (fixture_has_manual_clock(fixture))
        defaults.clock = manual_clock_of(&fixture->clock);
    open_shape(fixture, use, &defaults);
    fixture->traits = larder_describe(fixture->cache);
}

void fixture_open(struct fixture *fixture, const struct subject *subject, const char *test,
                  const struct larder_open_options *options)
{
    fixture_open_at(fixture, subject, test, options, (struct server_use){NULL, 0});
}

/* ---- keys and the witness ------------------------------------------------------------------ */

struct named_key {
    struct named_key *next;
    struct larder_slice bytes;
    char text[64]; /* the bytes, where key() made them */
};

static const char witness_text[] = "the witness";

static int has_witness(const struct fixture *fixture)
{
    return fixture->witness != NULL && !subject_is_null(fixture->subject);
}

static void plant_witness(struct fixture *fixture, const struct named_key *kept)
{
    expect(
        fixture, LARDER_OK,
        larder_set(fixture->witness, kept->bytes, larder_text(witness_text), LARDER_TTL_FOREVER));
}

static struct larder_slice keep_key(struct fixture *fixture, struct named_key *kept)
{
    kept->next = fixture->keys;
    fixture->keys = kept;
    if (has_witness(fixture))
        plant_witness(fixture, kept);
    return kept->bytes;
}

enum larder_status flush(struct fixture *fixture, struct larder_cache *cache)
{
    enum larder_status status = larder_flush(cache);
    if (status != LARDER_OK || !has_witness(fixture) || fixture->subject->shape != SHAPE_CLIENT)
        return status;
    for (struct named_key *kept = fixture->keys; kept != NULL; kept = kept->next) {
        char byte;
        expect(fixture, LARDER_MISS, larder_read(fixture->witness, kept->bytes, &byte, 1, NULL));
        plant_witness(fixture, kept);
    }
    return status;
}

static struct named_key *known_key(const struct fixture *fixture, struct larder_slice bytes)
{
    for (struct named_key *kept = fixture->keys; kept != NULL; kept = kept->next)
        if (kept->bytes.length == bytes.length &&
            memcmp(kept->bytes.data, bytes.data, bytes.length) == 0)
            return kept;
    return NULL;
}

static struct named_key *new_key(void)
{
    struct named_key *kept = calloc(1, sizeof(*kept));
    if (kept == NULL)
        exit(1);
    return kept;
}

struct larder_slice key(struct fixture *fixture, const char *name)
{
    struct named_key *kept = new_key();
    int length = snprintf(kept->text, sizeof(kept->text), "t%u.%s", fixture->number, name);
    kept->bytes = larder_bytes(kept->text, (size_t)length);
    struct named_key *known = known_key(fixture, kept->bytes);
    if (known == NULL)
        return keep_key(fixture, kept);
    free(kept);
    return known->bytes;
}

struct larder_slice key_of(struct fixture *fixture, struct larder_slice bytes)
{
    if (known_key(fixture, bytes) != NULL)
        return bytes;
    struct named_key *kept = new_key();
    kept->bytes = bytes;
    return keep_key(fixture, kept);
}

void fixture_forget_keys(struct fixture *fixture)
{
    while (fixture->keys != NULL) {
        struct named_key *kept = fixture->keys;
        fixture->keys = kept->next;
        free(kept);
    }
}

void fixture_check(struct fixture *fixture)
{
    if (!has_witness(fixture))
        return;
    for (struct named_key *kept = fixture->keys; kept != NULL; kept = kept->next) {
        char text[64];
        struct larder_info info = {0};
        expect(fixture, LARDER_OK,
               larder_read(fixture->witness, kept->bytes, text, sizeof(text), &info));
        expect_slice(fixture, larder_text(witness_text), larder_bytes(text, info.length));
    }
}

void fixture_close(struct fixture *fixture)
{
    if (fixture->cache != fixture->handle)
        larder_release(fixture->cache);
    larder_close(fixture->owner);
    fixture->cache = fixture->handle = fixture->owner = fixture->witness = NULL;
    larder_faults_free(fixture->faults);
    fixture->faults = NULL;
    fixture_forget_keys(fixture);
}

/* ---- time and traits ----------------------------------------------------------------------- */

int fixture_has_manual_clock(const struct fixture *fixture)
{
    return !subject_has_server(fixture->subject);
}

void fixture_wait(struct fixture *fixture, uint64_t milliseconds)
{
    if (fixture_has_manual_clock(fixture)) {
        manual_clock_advance(&fixture->clock, milliseconds);
        return;
    }
    struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    nanosleep(&rest, NULL);
}

int can(const struct fixture *fixture, uint64_t bits)
{
    return larder_can(fixture->traits, bits);
}

enum larder_status if_can(const struct fixture *fixture, uint64_t bits, enum larder_status status)
{
    return can(fixture, bits) ? status : LARDER_UNSUPPORTED;
}

void leave_out(const struct fixture *fixture, const char *reason)
{
    printf("left out: %s: %s: %s\n", fixture->subject->name, fixture->test, reason);
}
