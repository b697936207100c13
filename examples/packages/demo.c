/* The demo works on a copy of the database, in a folder of its own that is gone afterwards: its
 * edits are nobody else's. Every cache starts empty and with the server's threads just started. */
#include "demo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "caches.h"
#include "memcached_child.h"
#include "report.h"
#include "server.h"
#include "site.h"

#define VISITORS 8
#define CACHE_MEGABYTES 512 /* nothing need be evicted, so that all figures are of one kind */
#define CACHES_MAX 3

struct demo {
    const struct options *options;
    struct text folder, database_path;
    struct catalogue catalogue;
    struct journal journal; /* of all caches: an edit stays true when the cache changes */
    struct report_row rows[CACHES_MAX];
    size_t row_count;
    bool failed, interrupted;
};

/* ---- one cache ----------------------------------------------------------------------------- */

static void note_figures(struct report_row *row, struct site *site)
{
    struct figures *figures = &site->pages.figures;
    row->hits = figure_get(&figures->hits);
    row->misses = figure_get(&figures->misses);
    row->questions = figure_get(&figures->questions);
    row->questions_saved = figure_get(&figures->questions_saved);
    row->dropped = figure_get(&figures->dropped);
    row->failures = atomic_load_explicit(&site->caches->failures, memory_order_relaxed);
}

static int load_site(struct demo *demo, struct site *site, struct report_row *row)
{
    struct server *server = server_start(site, 0, false, demo->options->threads);
    if (server == NULL)
        return -1;
    const struct load_options load = {server_port(server), VISITORS, demo->options->seconds,
                                      &demo->catalogue, &demo->journal};
    struct progress progress;
    progress_begin(&progress, row->cache);
    int result = load_run(&load, &progress, &row->load);
    server_stop(server);
    char line[64];
    snprintf(line, sizeof(line), "%llu pages in %.1f s", (unsigned long long)row->load.pages,
             row->load.seconds);
    progress_end(&progress, result == 0 ? line : "no page was served");
    return result;
}

static void run_cache(struct demo *demo, const char *label, const char *uri, const char *config)
{
    struct report_row *row = &demo->rows[demo->row_count];
    struct caches caches;
    struct site site;
    *row = (struct report_row){.cache = label};
    if (demo->interrupted)
        return;
    if (caches_open(&caches, uri, config) != 0) {
        demo->failed = true;
        return;
    }
    if (site_init(&site, &caches, demo->database_path.data) == 0) {
        demo->failed = load_site(demo, &site, row) != 0 || demo->failed;
        demo->interrupted = row->load.interrupted;
        note_figures(row, &site);
        demo->row_count++;
        site_clean_up(&site);
    } else {
        demo->failed = true;
    }
    caches_close(&caches);
}

/* Opening waits for no server, so what is refused is the scheme. */
static bool is_built(const char *uri)
{
    char message[512];
    struct larder_cache *cache;
    enum larder_status status = larder_open(uri, NULL, &cache, message, sizeof(message));
    if (status == LARDER_UNSUPPORTED)
        fprintf(stderr, "%s left out: %s\n", uri, message);
    larder_close(cache);
    return status != LARDER_UNSUPPORTED;
}

static void run_pooled(struct demo *demo)
{
    struct memcached_child memcached;
    struct text uri = {0};
    if (demo->interrupted || !is_built("pooled-memcached:"))
        return;
    if (memcached_start(&memcached, demo->folder.data, CACHE_MEGABYTES) != 0) {
        fputs("pooled-memcached: left out, since there is no memcached to be started here "
              "(apt-get install memcached)\n",
              stderr);
        return;
    }
    text_format(&uri, "pooled-memcached://%s?size=%u&timeout=1s", memcached.socket.data,
                demo->options->threads);
    if (!uri.failed)
        run_cache(demo, "pooled-memcached:", uri.data, NULL);
    text_free(&uri);
    memcached_stop(&memcached);
}

static void run_caches(struct demo *demo)
{
    const struct options *options = demo->options;
    if (options->cache != NULL || options->config != NULL) {
        run_cache(demo, options->cache != NULL ? options->cache : options->config, options->cache,
                  options->config);
        return;
    }
    run_cache(demo, "null:", "null:", NULL);
    run_cache(demo, "memory:", "memory:?max_bytes=512M", NULL);
    run_pooled(demo);
}

/* ---- around it ----------------------------------------------------------------------------- */

static int make_folder(struct demo *demo)
{
    const char *parent = getenv("TMPDIR");
    text_format(&demo->folder, "%s/larder-packages-XXXXXX",
                parent != NULL && *parent == '/' ? parent : "/tmp");
    if (!demo->folder.failed && mkdtemp(demo->folder.data) != NULL)
        return 0;
    fprintf(stderr, "packages: %s: %s\n", demo->folder.failed ? "" : demo->folder.data,
            strerror(errno));
    text_free(&demo->folder);
    return -1;
}

static void remove_folder(struct demo *demo)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
        struct text path = {0};
        text_format(&path, "%s/packages.db%s", demo->folder.data, endings[i]);
        if (!path.failed)
            unlink(path.data);
        text_free(&path);
    }
    rmdir(demo->folder.data);
    text_free(&demo->folder);
    text_free(&demo->database_path);
}

/* Copies the database, and reads what the load needs to know of it. */
static int prepare(struct demo *demo, const char *database_path)
{
    text_format(&demo->database_path, "%s/packages.db", demo->folder.data);
    struct database *database = database_open(database_path);
    bool ready = database != NULL && !demo->database_path.failed &&
                 database_copy(database, demo->database_path.data) &&
                 catalogue_load(&demo->catalogue, database) == 0;
    database_close(database);
    if (!ready)
        return -1;
    if (journal_init(&demo->journal, demo->catalogue.largest_id) == 0)
        return 0;
    catalogue_free(&demo->catalogue);
    return -1;
}

static void print_intent(const struct demo *demo)
{
    printf(
        "%zu packages, %u server threads, %d visitors, %u s for each cache, which starts empty;\n"
        "packages are drawn by Zipf's law, and one request in 500 edits one.\n",
        demo->catalogue.count, demo->options->threads, VISITORS, demo->options->seconds);
    fflush(stdout);
}

int demo_run(const struct options *options, const char *database_path)
{
    struct demo demo = {.options = options};
    if (make_folder(&demo) != 0)
        return EXIT_FAILURE;
    demo.failed = prepare(&demo, database_path) != 0;
    if (!demo.failed) {
        print_intent(&demo);
        run_caches(&demo);
        if (report_print(demo.rows, demo.row_count) != 0)
            demo.failed = true;
        journal_clean_up(&demo.journal);
        catalogue_free(&demo.catalogue);
    }
    remove_folder(&demo);
    return demo.interrupted ? 130 : demo.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
