/* Routes. */
#include "site.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "progress.h"

#define FROM_MAX 1000000

static void close_connection(void *connection)
{
    database_close(connection);
}

int site_init(struct site *site, struct caches *caches, const char *database_path)
{
    *site = (struct site){.database_path = database_path, .caches = caches};
    site->keeper = database_open(database_path);
    if (site->keeper == NULL)
        return -1;
    if (pthread_key_create(&site->connection, close_connection) != 0) {
        database_close(site->keeper);
        return -1;
    }
    pages_init(&site->pages, caches->pages);
    views_init(&site->views, caches->views);
    return 0;
}

void site_clean_up(struct site *site)
{
    views_clean_up(&site->views);
    pthread_key_delete(site->connection);
    database_close(site->keeper);
}

static struct database *connection(struct site *site)
{
    struct database *database = pthread_getspecific(site->connection);
    if (database != NULL)
        return database;
    database = database_open(site->database_path);
    if (database != NULL && pthread_setspecific(site->connection, database) != 0) {
        database_close(database);
        return NULL;
    }
    return database;
}

static void answer_message(struct answer *answer, unsigned code, const char *message)
{
    answer->code = code;
    text_clear(&answer->head);
    text_clear(&answer->foot);
    frame_head(&answer->head, message, NULL);
    text_put(&answer->head, "<h1>");
    text_html(&answer->head, message);
    text_put(&answer->head, "</h1>\n");
    frame_foot(&answer->foot);
}

/* Whole pages only: else each row of a list could begin a page of its own in the cache. */
static int64_t parse_from(const char *from)
{
    long long number = from != NULL ? strtoll(from, NULL, 10) : 0;
    return number > 0 && number <= FROM_MAX ? number - number % ROWS_PER_PAGE : 0;
}

static void answer_page(struct site *site, const struct request *request,
                        const struct page_address *address, struct answer *answer)
{
    struct database *database = connection(site);
    if (database == NULL) {
        answer_message(answer, 500, "The database can't be opened");
        return;
    }
    struct served *served = &answer->served;
    pages_serve(&site->pages, database, address, served);
    if (served->result == PAGE_FOUND) {
        answer->code = 200;
        frame_head(&answer->head, address->kind == PAGE_FRONT ? "all" : address->name,
                   request->search);
        frame_edited(&answer->head, request->dropped, request->took_us);
        return;
    }
    served_free(served);
    served->body = larder_bytes(NULL, 0);
    if (served->result == PAGE_NOT_FOUND)
        answer_message(answer, 404, "There is no such package");
    else
        answer_message(answer, 500, "The database did not answer");
}

static void answer_front(struct site *site, const struct request *request, struct answer *answer)
{
    const struct page_address address = {.kind = PAGE_FRONT};
    answer_page(site, request, &address, answer);
    if (answer->code != 200)
        return;
    struct viewed top[VIEWS_TOP];
    views_top(&site->views, top);
    frame_top(&answer->foot, top);
    frame_foot_served(&answer->foot, &answer->served, site->caches->label);
}

static void answer_package(struct site *site, const struct request *request, const char *name,
                           struct answer *answer)
{
    struct page_address address = {.kind = PAGE_PACKAGE, .from = parse_from(request->from)};
    snprintf(address.name, sizeof(address.name), "%s", name);
    answer_page(site, request, &address, answer);
    if (answer->code != 200)
        return;
    uint64_t count = 0;
    enum larder_status status = views_count(&site->views, name, &count);
    frame_views(&answer->foot, status, count);
    frame_foot_served(&answer->foot, &answer->served, site->caches->label);
}

static void answer_search(struct site *site, const struct request *request, struct answer *answer)
{
    struct page_address address = {.kind = PAGE_SEARCH, .from = parse_from(request->from)};
    if (request->search == NULL || !package_name_valid(request->search)) {
        answer_message(answer, 400, "A name is made of small letters, digits, plus, minus and dot");
        return;
    }
    snprintf(address.name, sizeof(address.name), "%s", request->search);
    answer_page(site, request, &address, answer);
    if (answer->code == 200)
        frame_foot_served(&answer->foot, &answer->served, site->caches->label);
}

static bool find_real(struct database *database, const char *name, int64_t *id)
{
    struct package package;
    database_begin(database);
    bool real = database_package(database, name, &package) && package.real;
    *id = real ? package.id : 0;
    database_end(database);
    return real;
}

static void redirect_after_edit(struct answer *answer, const char *name,
                                const struct dropped *dropped, uint64_t microseconds)
{
    struct text *location = &answer->location;
    answer->code = 303;
    text_put(location, "/package/");
    text_url(location, name);
    if (dropped->suspected)
        text_format(location, "?dropped=%s", dropped->flushed ? "all" : "none");
    else
        text_format(location, "?dropped=%" PRIu64 "&took=%" PRIu64, dropped->pages, microseconds);
}

/* First the database, then the cache, then the answer: whoever has the answer sees no old page. */
static void answer_edit(struct site *site, const struct request *request, const char *name,
                        struct answer *answer)
{
    struct database *database = connection(site);
    int64_t package = 0;
    if (request->synopsis == NULL || *request->synopsis == '\0') {
        answer_message(answer, 400, "A description is wanted");
        return;
    }
    if (database == NULL || !find_real(database, name, &package)) {
        answer_message(answer, 404, "There is no such package");
        return;
    }
    if (!database_edit(database, package, request->synopsis)) {
        answer_message(answer, 500, "The database did not take the edit");
        return;
    }
    uint64_t begun = monotonic_ns();
    struct dropped dropped = pages_drop(&site->pages, name);
    redirect_after_edit(answer, name, &dropped, (monotonic_ns() - begun) / 1000);
}

static const char *package_in(const char *path)
{
    static const char prefix[] = "/package/";
    if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    const char *name = path + sizeof(prefix) - 1;
    return package_name_valid(name) ? name : NULL;
}

void site_answer(struct site *site, const struct request *request, struct answer *answer)
{
    const char *package = package_in(request->path);
    *answer = (struct answer){0};
    if (package != NULL && request->post)
        answer_edit(site, request, package, answer);
    else if (request->post)
        answer_message(answer, 405, "Nothing takes a POST here");
    else if (package != NULL)
        answer_package(site, request, package, answer);
    else if (strcmp(request->path, "/") == 0)
        answer_front(site, request, answer);
    else if (strcmp(request->path, "/search") == 0)
        answer_search(site, request, answer);
    else if (strcmp(request->path, "/cache") == 0)
        site_answer_cache(site, answer);
    else
        answer_message(answer, 404, "There is no such page");
}

void answer_free(struct answer *answer)
{
    text_free(&answer->location);
    text_free(&answer->head);
    text_free(&answer->foot);
    served_free(&answer->served);
}
