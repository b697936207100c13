/* The front page and the search: lists of packages. */
#include "page.h"

#include <inttypes.h>
#include <stdio.h>

#define POPULAR_ROWS 24

static void total(struct text *body, int64_t number, const char *title)
{
    text_put(body, "<div><b>");
    text_number(body, number);
    text_format(body, "</b>%s</div>\n", title);
}

enum page_result page_render_front(struct database *database, struct page *page)
{
    struct text *body = &page->body;
    struct totals totals = database_totals(database);
    text_put(body, "<h1>Every package of this machine’s index</h1>\n<div class=\"totals\">\n");
    total(body, totals.packages, "packages");
    total(body, totals.relations, "relations between them");
    total(body, totals.names, "names, virtual ones included");
    total(body, totals.edits, totals.edits == 1 ? "edit so far" : "edits so far");
    text_put(body, "</div>\n<p class=\"quiet\">Open a package twice, and the foot of the page says"
                   " what the cache saved. Edit its description, and see which pages go.</p>\n"
                   "<h2>What most packages depend on</h2>\n"
                   "<ul class=\"packages wide\">\n");
    struct mention mention;
    database_list(database, LIST_POPULAR, 0, NULL, POPULAR_ROWS, 0);
    while (database_next(database, &mention)) {
        char dependents[32];
        snprintf(dependents, sizeof(dependents), "%" PRId64, mention.dependents);
        page_mention(page, &mention, dependents);
    }
    text_put(body, "</ul>\n");
    return PAGE_FOUND;
}

/* One row more than is shown tells whether there are more. */
static int64_t render_matches(struct database *database, struct page *page,
                              const struct page_address *address)
{
    struct mention mention;
    int64_t rows = 0;
    database_list(database, LIST_PREFIX, 0, address->name, ROWS_PER_PAGE + 1, address->from);
    while (rows <= ROWS_PER_PAGE && database_next(database, &mention))
        if (++rows <= ROWS_PER_PAGE)
            page_mention(page, &mention, NULL);
    return rows;
}

enum page_result page_render_search(struct database *database, const struct page_address *address,
                                    struct page *page)
{
    struct text *body = &page->body;
    text_put(body, "<h1>Packages that begin with “");
    text_html(body, address->name);
    text_put(body, "”</h1>\n<ul class=\"packages wide\">\n");
    int64_t rows = render_matches(database, page, address);
    text_put(body, "</ul>\n");
    if (rows == 0)
        text_put(body, "<p class=\"quiet\">There is none.</p>\n");
    if (rows > ROWS_PER_PAGE) {
        text_put(body, "<nav class=\"pager\"><a href=\"/search?q=");
        text_url(body, address->name);
        text_format(body, "&amp;from=%" PRId64 "\">more →</a></nav>\n",
                    address->from + ROWS_PER_PAGE);
    }
    return PAGE_FOUND;
}
