/* The page of one package: what it is, what it needs, what needs it. */
#include "page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Some packages provide, or are provided by, thousands. */
#define PROVIDES_MAX 30

static const char *const kind_titles[RELATION_KINDS] = {"Needs before unpacking", "Depends on",
                                                        "Recommends"};
static const char *const kind_verbs[RELATION_KINDS] = {"before unpacking", "depend on it",
                                                       "only recommend it"};

static void fact(struct text *body, const char *title, const char *value)
{
    if (value == NULL)
        return;
    text_format(body, "<div><dt>%s</dt><dd>", title);
    text_html(body, value);
    text_put(body, "</dd></div>\n");
}

static void fact_size(struct text *body, const char *title, int64_t kib)
{
    if (kib >= 1024)
        text_format(body, "<div><dt>%s</dt><dd>%.1f MiB</dd></div>\n", title, (double)kib / 1024);
    else if (kib > 0)
        text_format(body, "<div><dt>%s</dt><dd>%" PRId64 " KiB</dd></div>\n", title, kib);
}

/* An index is input: only web addresses become links. */
static void fact_homepage(struct text *body, const char *homepage)
{
    if (homepage == NULL ||
        (strncmp(homepage, "https://", 8) != 0 && strncmp(homepage, "http://", 7) != 0)) {
        fact(body, "Homepage", homepage);
        return;
    }
    text_put(body, "<div><dt>Homepage</dt><dd><a rel=\"noreferrer\" href=\"");
    text_html(body, homepage);
    text_put(body, "\">");
    text_html(body, strstr(homepage, "//") + 2);
    text_put(body, "</a></dd></div>\n");
}

/* "Name <address>": the name will do. */
static void fact_maintainer(struct text *body, const char *maintainer)
{
    char name[128];
    if (maintainer == NULL)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(maintainer, "<"), maintainer);
    fact(body, "Maintainer", name);
}

static void render_facts(struct database *database, struct text *body,
                         const struct package *package)
{
    text_put(body, "<dl class=\"facts\">\n");
    fact(body, "Version", package->version);
    fact(body, "Section", package->section);
    fact(body, "Architecture", package->architecture);
    fact(body, "Priority", package->priority);
    fact_size(body, "Download", (package->download_bytes + 1023) / 1024);
    fact_size(body, "Installed", package->installed_kib);
    fact_maintainer(body, package->maintainer);
    fact_homepage(body, package->homepage);
    struct closure closure = database_closure(database, package->id);
    text_put(body, "<div><dt>With all it needs</dt><dd>");
    text_number(body, closure.packages);
    text_format(body, " package%s, %.1f MiB</dd></div>\n</dl>\n", closure.packages == 1 ? "" : "s",
                (double)closure.installed_kib / 1024);
}

static void render_heading(struct page *page, const struct package *package)
{
    struct text *body = &page->body;
    page_show(page, package->id, package->name);
    text_format(body, "<article data-id=\"%" PRId64 "\"><h1>", package->id);
    text_html(body, package->name);
    text_put(body, "</h1>\n<p class=\"synopsis\"><span>");
    text_html(body, package->real ? package->synopsis
                                  : "A virtual package, or one that is not in this index.");
    text_put(body, "</span></p></article>\n");
}

/* Paragraphs are set apart by lines of a single dot. */
static void render_description(struct text *body, const char *description)
{
    if (description == NULL || *description == '\0')
        return;
    text_put(body, "<div class=\"description\"><p>");
    while (*description != '\0') {
        size_t length = strcspn(description, "\n");
        if (length == 1 && *description == '.') {
            text_put(body, "</p><p>");
        } else {
            for (size_t i = 0; i < length; i++)
                text_html(body, (char[]){description[i], '\0'});
            text_put(body, "\n");
        }
        description += length + (description[length] == '\n');
    }
    text_put(body, "</p></div>\n");
}

static void render_edit_form(struct text *body, const struct package *package)
{
    text_put(body, "<details class=\"edit\"><summary>Edit the description</summary>\n"
                   "<form method=\"post\" action=\"/package/");
    text_url(body, package->name);
    text_put(body, "\"><input name=\"synopsis\" maxlength=\"300\" required aria-label="
                   "\"description\" value=\"");
    text_html(body, package->synopsis);
    text_put(body, "\"><button>Save, and drop every page that shows it</button></form>"
                   "</details>\n");
}

static void render_dependencies(struct database *database, struct page *page, int64_t package)
{
    struct mention mention;
    int kind = -1;
    int64_t place = -1;
    database_list(database, LIST_DEPENDENCIES, package, NULL, -1, 0);
    while (database_next(database, &mention)) {
        if (mention.kind != kind) {
            text_format(&page->body, "%s<h2>%s</h2>\n<ul class=\"packages\">\n",
                        kind >= 0 ? "</ul>\n" : "", kind_titles[mention.kind % RELATION_KINDS]);
            kind = mention.kind;
            place = -1;
        }
        if (mention.place == place)
            text_put(&page->body, "<li class=\"or\">or</li>\n");
        place = mention.place;
        page_mention(page, &mention, mention.restriction);
    }
    text_put(&page->body, kind >= 0 ? "</ul>\n" : "<p class=\"quiet\">It needs nothing.</p>\n");
}

static void render_some(struct database *database, struct page *page, enum list list,
                        int64_t package, const char *title)
{
    struct mention mention;
    size_t rows = 0;
    database_list(database, list, package, NULL, PROVIDES_MAX, 0);
    for (; database_next(database, &mention); rows++) {
        if (rows == 0)
            text_format(&page->body, "<h2>%s</h2>\n<ul class=\"packages\">\n", title);
        page_mention(page, &mention, NULL);
    }
    if (rows > 0)
        text_put(&page->body, "</ul>\n");
}

static int64_t render_dependent_counts(struct database *database, struct text *body,
                                       int64_t package)
{
    int64_t counts[RELATION_KINDS];
    int64_t total = 0;
    database_count_dependents(database, package, counts);
    text_put(body, "<h2>Needed by</h2>\n<p class=\"quiet\">");
    for (int kind = 0; kind < RELATION_KINDS; kind++) {
        if (counts[kind] == 0)
            continue;
        text_put(body, total > 0 ? ", " : "");
        text_number(body, counts[kind]);
        text_format(body, " %s", kind_verbs[kind]);
        total += counts[kind];
    }
    text_put(body, total > 0 ? "; the most needed come first</p>\n" : "nothing</p>\n");
    return total;
}

/* @return the page does not exist when it begins past the end */
static enum page_result render_dependents(struct database *database, struct page *page,
                                          const struct page_address *address, int64_t package)
{
    int64_t total = render_dependent_counts(database, &page->body, package);
    if (total == 0 || address->from >= total)
        return address->from == 0 ? PAGE_FOUND : PAGE_NOT_FOUND;
    struct text base = {0};
    text_put(&base, "/package/");
    text_url(&base, address->name);
    text_put(&base, "?from=");
    if (!base.failed)
        page_pager(page, base.data, address->from, total);
    text_put(&page->body, "<ul class=\"packages\">\n");
    struct mention mention;
    database_list(database, LIST_DEPENDENTS, package, NULL, ROWS_PER_PAGE, address->from);
    while (database_next(database, &mention))
        page_mention(page, &mention, mention.kind == RECOMMENDS ? "recommends" : NULL);
    text_put(&page->body, "</ul>\n");
    if (!base.failed)
        page_pager(page, base.data, address->from, total);
    text_free(&base);
    return PAGE_FOUND;
}

enum page_result page_render_package(struct database *database, const struct page_address *address,
                                     struct page *page)
{
    struct package package;
    if (!database_package(database, address->name, &package))
        return PAGE_NOT_FOUND;
    int64_t id = package.id;
    render_heading(page, &package);
    if (package.real) {
        render_facts(database, &page->body, &package);
        render_description(&page->body, package.description);
        render_edit_form(&page->body, &package);
    }
    text_put(&page->body, "<div class=\"columns\"><section>\n");
    if (package.real)
        render_dependencies(database, page, id);
    render_some(database, page, LIST_PROVIDERS, id, "Provided by");
    render_some(database, page, LIST_PROVIDED, id, "Provides");
    text_put(&page->body, "</section><section>\n");
    enum page_result result = render_dependents(database, page, address, id);
    text_put(&page->body, "</section></div>\n");
    return result;
}
