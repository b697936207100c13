/*
 * packages: this machine's Debian package index as a web site, through a larder cache.
 *
 *   control.c relation.c index.c    read the index       sample.c makes one up
 *   import.c schema.h database.c    keep it in SQLite
 *   page*.c                         render the pages
 *   pages.c ticket.c wires.c        cache them, tied to what they show: start reading here
 *   views.c caches.c                counters; opening the caches
 *   site*.c frame.c server.c        answer HTTP
 *   demo.c load.c journal.c …       load it, check every answer, print a table
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "demo.h"
#include "import.h"
#include "index.h"
#include "options.h"
#include "server.h"
#include "signals.h"

/* The user's cache folder, or one in it; made if it is not there. Source: XDG base directories. */
static int default_database(struct text *path)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (cache != NULL && *cache == '/')
        text_put(path, cache);
    else
        text_format(path, "%s/.cache", home != NULL ? home : "/tmp");
    if (!path->failed)
        mkdir(path->data, 0700);
    text_put(path, "/larder");
    if (!path->failed && mkdir(path->data, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "packages: %s: %s; name a place with --database FILE\n", path->data,
                strerror(errno));
        return -1;
    }
    text_put(path, "/packages.db");
    return path->failed ? -1 : 0;
}

static int serve(const struct options *options, struct site *site)
{
    struct server *server =
        server_start(site, (uint16_t)options->port, options->everywhere, options->threads);
    if (server == NULL)
        return EXIT_FAILURE;
    printf("http://localhost:%u/ over %s; Ctrl-C ends it\n", (unsigned)server_port(server),
           site->caches->label);
    fflush(stdout);
    signals_wait(-1);
    server_stop(server);
    return EXIT_SUCCESS;
}

static int open_and_serve(const struct options *options, const char *database_path)
{
    struct caches caches;
    struct site site;
    int result = EXIT_FAILURE;
    const char *uri = options->cache != NULL ? options->cache : "memory:?max_bytes=256M";
    if (caches_open(&caches, uri, options->config) != 0)
        return EXIT_FAILURE;
    if (site_init(&site, &caches, database_path) == 0) {
        result = serve(options, &site);
        site_clean_up(&site);
    }
    caches_close(&caches);
    return result;
}

static int run(const struct options *options, const char *database_path)
{
    if (import_if_absent(database_path, options->packages) != 0)
        return EXIT_FAILURE;
    return options->demo ? demo_run(options, database_path)
                         : open_and_serve(options, database_path);
}

int main(int count, char **arguments)
{
    struct options options;
    struct text path = {0};
    int status = options_parse(&options, count, arguments);
    if (status >= 0)
        return status;
    if (options.sample > 0) {
        index_write_sample(stdout, options.sample);
        return ferror(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    signals_block();
    if (options.database != NULL)
        text_put(&path, options.database);
    else if (default_database(&path) != 0)
        path.failed = true;
    status = path.failed ? EXIT_FAILURE : run(&options, path.data);
    text_free(&path);
    return status;
}
