/* Threads that visit. One request in five hundred edits the description of the package drawn. */
#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_client.h"
#include "signals.h"

#define EDIT_ONE_IN 500
#define PAGES_MAX UINT64_C(20000000) /* of a thread, however long it may run */
#define PATH_MAX_BYTES 512

struct visitor {
    pthread_t thread;
    bool started;
    const struct load_options *options; /* these three are set before the thread starts */
    uint64_t deadline_ns;
    uint64_t random;
    _Atomic int *stop;       /* relaxed: only ever tells to end */
    _Atomic uint64_t pages;  /* relaxed: read for the progress meanwhile */
    struct load_result sums; /* the thread's own until it is joined */
};

/* ---- checking ------------------------------------------------------------------------------ */

/* The "(edit 12)" at the end of a description; 0: it was never edited. */
static uint32_t edit_shown(const char *end, const char *begin)
{
    const char *digits = end - 1; /* at the ')' */
    if (digits <= begin || *digits != ')')
        return 0;
    while (digits > begin && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    static const char mark[] = " (edit ";
    if ((size_t)(digits - begin) < sizeof(mark) - 1 ||
        memcmp(digits - (sizeof(mark) - 1), mark, sizeof(mark) - 1) != 0)
        return 0;
    return (uint32_t)strtoul(digits, NULL, 10);
}

/* Looks at every package that the page shows. */
static bool shows_nothing_old(const char *body, const struct journal *journal, uint32_t count)
{
    static const char mark[] = "data-id=\"";
    while ((body = strstr(body, mark)) != NULL) {
        int64_t package = strtoll(body + sizeof(mark) - 1, NULL, 10);
        uint32_t required = journal_required(journal, package, count);
        body += sizeof(mark) - 1;
        if (required == 0)
            continue;
        const char *begin = strstr(body, "<span>");
        const char *end = begin != NULL ? strstr(begin, "</span>") : NULL;
        if (end == NULL || edit_shown(end, begin) < required)
            return false;
    }
    return true;
}

static bool is_page_of(const char *body, const char *name)
{
    char heading[PACKAGE_NAME_MAX + 16], title[PACKAGE_NAME_MAX + 32];
    snprintf(heading, sizeof(heading), "<h1>%s</h1>", name);
    snprintf(title, sizeof(title), "<title>%s · packages</title>", name);
    return strstr(body, title) != NULL && strstr(body, heading) != NULL;
}

/* ---- visiting ------------------------------------------------------------------------------ */

static void path_of(char path[PATH_MAX_BYTES], const char *name)
{
    struct text encoded = {0};
    text_url(&encoded, name);
    snprintf(path, PATH_MAX_BYTES, "/package/%s", encoded.failed ? "" : encoded.data);
    text_free(&encoded);
}

/* Old pages and edits of other threads: `before` is read before the page is asked for, so an edit
 * that is answered meanwhile is asked of nobody. */
static int visit(struct visitor *visitor, struct http_client *client,
                 const struct catalogue_entry *entry)
{
    const struct journal *journal = visitor->options->journal;
    uint32_t before = journal_count(journal);
    char path[PATH_MAX_BYTES];
    path_of(path, entry->name);
    uint64_t begun = monotonic_ns();
    int code = http_get(client, path);
    latency_add(&visitor->sums.latency, (monotonic_ns() - begun) / 1000);
    atomic_fetch_add_explicit(&visitor->pages, 1, memory_order_relaxed);
    if (code != 200 || !is_page_of(client->body, entry->name))
        visitor->sums.wrong++;
    else if (!shows_nothing_old(client->body, journal, before))
        visitor->sums.stale++;
    return code;
}

static int send_edit(struct http_client *client, const struct catalogue_entry *entry, uint32_t edit)
{
    char path[PATH_MAX_BYTES];
    struct text synopsis = {0}, form = {0};
    path_of(path, entry->name);
    text_format(&synopsis, "%s (edit %" PRIu32 ")", entry->synopsis, edit);
    text_put(&form, "synopsis=");
    if (!synopsis.failed)
        text_url(&form, synopsis.data);
    int code = synopsis.failed || form.failed ? -1 : http_post(client, path, form.data);
    text_free(&synopsis);
    text_free(&form);
    return code;
}

static int edit(struct visitor *visitor, struct http_client *client,
                const struct catalogue_entry *entry)
{
    struct journal *journal = visitor->options->journal;
    uint32_t number;
    if (!journal_begin(journal, &number))
        return visit(visitor, client, entry);
    int code = send_edit(client, entry, number);
    if (code == 303) {
        visitor->sums.edits++;
        journal_end(journal, entry->id);
    } else {
        visitor->sums.wrong++;
        journal_abandon(journal);
    }
    return code;
}

static bool go_on(const struct visitor *visitor)
{
    return !atomic_load_explicit(visitor->stop, memory_order_relaxed) &&
           monotonic_ns() < visitor->deadline_ns &&
           atomic_load_explicit(&visitor->pages, memory_order_relaxed) < PAGES_MAX;
}

static void *visit_all(void *context)
{
    struct visitor *visitor = context;
    struct http_client client;
    if (http_open(&client, visitor->options->port) != 0) {
        visitor->sums.wrong++;
        return NULL;
    }
    int code = 200;
    while (code >= 0 && go_on(visitor)) {
        const struct catalogue_entry *entry =
            catalogue_draw(visitor->options->catalogue, &visitor->random);
        bool edits = catalogue_random(&visitor->random) % EDIT_ONE_IN == 0;
        code = edits ? edit(visitor, &client, entry) : visit(visitor, &client, entry);
    }
    http_close(&client);
    return NULL;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static uint64_t pages_so_far(const struct visitor *visitors, unsigned count)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < count; i++)
        pages += atomic_load_explicit(&visitors[i].pages, memory_order_relaxed);
    return pages;
}

static void watch(const struct load_options *options, struct progress *progress,
                  const struct visitor *visitors, uint64_t begun_ns, _Atomic int *stop,
                  struct load_result *result)
{
    double passed = 0;
    while (passed < options->seconds && !result->interrupted) {
        result->interrupted = signals_wait(100);
        passed = (double)(monotonic_ns() - begun_ns) / 1e9;
        char note[64];
        snprintf(note, sizeof(note), "%.0f pages/s",
                 (double)pages_so_far(visitors, options->threads) / passed);
        progress_show(progress, passed / options->seconds, note);
    }
    atomic_store_explicit(stop, 1, memory_order_relaxed);
}

static void collect(struct visitor *visitors, unsigned count, struct load_result *result)
{
    for (unsigned i = 0; i < count; i++) {
        if (visitors[i].started)
            pthread_join(visitors[i].thread, NULL);
        latency_merge(&result->latency, &visitors[i].sums.latency);
        result->edits += visitors[i].sums.edits;
        result->wrong += visitors[i].sums.wrong;
        result->stale += visitors[i].sums.stale;
    }
    result->pages = pages_so_far(visitors, count);
}

int load_run(const struct load_options *options, struct progress *progress,
             struct load_result *result)
{
    *result = (struct load_result){0};
    struct visitor *visitors = calloc(options->threads, sizeof(*visitors));
    if (visitors == NULL)
        return -1;
    _Atomic int stop = 0;
    uint64_t begun = monotonic_ns();
    for (unsigned i = 0; i < options->threads; i++) {
        visitors[i].options = options;
        visitors[i].deadline_ns = begun + options->seconds * UINT64_C(1000000000);
        visitors[i].random = UINT64_C(0x9e3779b97f4a7c15) * (i + 1);
        visitors[i].stop = &stop;
        visitors[i].started =
            pthread_create(&visitors[i].thread, NULL, visit_all, &visitors[i]) == 0;
    }
    watch(options, progress, visitors, begun, &stop, result);
    collect(visitors, options->threads, result);
    result->seconds = (double)(monotonic_ns() - begun) / 1e9;
    free(visitors);
    return result->pages > 0 ? 0 : -1;
}
