/* The parts that pages share. A row carries its package's number and synopsis in a fixed form,
 * which the load generator reads back to see that nothing old was served. */
#include "page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_show(struct page *page, int64_t id, const char *name)
{
    for (size_t i = 0; i < page->shown_count; i++)
        if (page->shown[i].id == id)
            return;
    if (page->shown_count == page->shown_capacity) {
        size_t capacity = page->shown_capacity == 0 ? 64 : page->shown_capacity * 2;
        struct shown *shown = realloc(page->shown, capacity * sizeof(*shown));
        if (shown == NULL) {
            page->body.failed = true;
            return;
        }
        page->shown = shown;
        page->shown_capacity = capacity;
    }
    struct shown *last = &page->shown[page->shown_count++];
    last->id = id;
    snprintf(last->name, sizeof(last->name), "%s", name);
}

void page_package_link(struct text *text, const char *name)
{
    text_put(text, "<a href=\"/package/");
    text_url(text, name);
    text_put(text, "\">");
    text_html(text, name);
    text_put(text, "</a>");
}

void page_mention(struct page *page, const struct mention *mention, const char *after)
{
    struct text *body = &page->body;
    page_show(page, mention->id, mention->name);
    text_format(body, "<li data-id=\"%" PRId64 "\">", mention->id);
    page_package_link(body, mention->name);
    if (after != NULL) {
        text_put(body, " <small>");
        text_html(body, after);
        text_put(body, "</small>");
    }
    text_put(body, "<span>");
    text_html(body,
              mention->synopsis != NULL ? mention->synopsis : "virtual, or not in this index");
    text_put(body, "</span></li>\n");
}

static void pager_link(struct text *body, const char *base, int64_t from, const char *label,
                       bool live)
{
    if (live)
        text_format(body, " <a href=\"%s%" PRId64 "\">%s</a>", base, from, label);
    else
        text_format(body, " <s>%s</s>", label);
}

void page_pager(struct page *page, const char *base, int64_t from, int64_t total)
{
    struct text *body = &page->body;
    if (total <= ROWS_PER_PAGE)
        return;
    int64_t last = from + ROWS_PER_PAGE < total ? from + ROWS_PER_PAGE : total;
    text_put(body, "<nav class=\"pager\">");
    text_number(body, from + 1);
    text_put(body, "–");
    text_number(body, last);
    text_put(body, " of ");
    text_number(body, total);
    int64_t before = from > ROWS_PER_PAGE ? from - ROWS_PER_PAGE : 0;
    pager_link(body, base, before, "← before", from > 0);
    pager_link(body, base, last, "after →", last < total);
    text_put(body, "</nav>\n");
}

enum page_result page_render(struct database *database, const struct page_address *address,
                             struct page *page)
{
    enum page_result result = PAGE_NOT_FOUND;
    switch (address->kind) {
    case PAGE_FRONT:
        result = page_render_front(database, page);
        break;
    case PAGE_PACKAGE:
        result = page_render_package(database, address, page);
        break;
    case PAGE_SEARCH:
        result = page_render_search(database, address, page);
        break;
    }
    return database_failed(database) || page->body.failed ? PAGE_FAILED : result;
}

void page_free(struct page *page)
{
    text_free(&page->body);
    free(page->shown);
    *page = (struct page){0};
}
