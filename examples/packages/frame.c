/* The frame. Its sizes and texts differ with each answer, so none of it is cached. */
#include "frame.h"

#include <inttypes.h>
#include <string.h>

#include "style.h"

void frame_head(struct text *text, const char *title, const char *search)
{
    text_put(text, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                   "<link rel=\"icon\" href=\"data:,\"><title>");
    text_html(text, title);
    text_put(text, " · packages</title><style>");
    text_add(text, style, sizeof(style) - 1);
    text_put(text, "</style></head>\n<body><header><a href=\"/\"><b>◆</b> packages</a>"
                   "<form action=\"/search\"><input name=\"q\" type=\"search\" required"
                   " placeholder=\"Names that begin with …\" aria-label=\"search\" value=\"");
    text_html(text, search);
    text_put(text, "\"><button>Find</button></form><a href=\"/cache\">The cache</a></header>\n"
                   "<main>\n");
}

static bool is_number(const char *digits)
{
    size_t length = strlen(digits);
    return length >= 1 && length <= 9 && strspn(digits, "0123456789") == length;
}

void frame_edited(struct text *text, const char *dropped, const char *microseconds)
{
    if (dropped == NULL)
        return;
    if (strcmp(dropped, "all") == 0)
        text_put(text, "<p class=\"notice all\">Saved. The cache may have lost track of a page that"
                       " showed this package, so all pages were dropped.</p>\n");
    else if (strcmp(dropped, "none") == 0)
        text_put(text, "<p class=\"notice all\">Saved. The cache can’t be told at the moment: until"
                       " it can, every page comes from the database.</p>\n");
    else if (microseconds != NULL && is_number(dropped) && is_number(microseconds))
        text_format(text,
                    "<p class=\"notice\">Saved. %s cached page%s showed this package and went with"
                    " one call, in %s µs.</p>\n",
                    dropped, strcmp(dropped, "1") == 0 ? "" : "s", microseconds);
}

void frame_views(struct text *text, enum larder_status status, uint64_t count)
{
    text_put(text, "<p class=\"quiet\">");
    if (status == LARDER_OK) {
        text_put(text, "Viewed ");
        text_number(text, (long long)count);
        text_put(text, count == 1 ? " time." : " times.");
    } else {
        text_format(text, "Views are not counted: the cache answers %s.",
                    larder_status_name(status));
    }
    text_put(text, "</p>\n");
}

void frame_top(struct text *text, const struct viewed top[VIEWS_TOP])
{
    if (top[0].count == 0)
        return;
    text_put(text, "<h2>Most viewed</h2>\n<ul class=\"top\">\n");
    for (size_t i = 0; i < VIEWS_TOP && top[i].count > 0; i++) {
        text_put(text, "<li><a href=\"/package/");
        text_url(text, top[i].name);
        text_put(text, "\">");
        text_html(text, top[i].name);
        text_put(text, "</a> <small>");
        text_number(text, (long long)top[i].count);
        text_put(text, "</small></li>\n");
    }
    text_put(text, "</ul>\n");
}

static void duration(struct text *text, uint32_t microseconds)
{
    if (microseconds < 1000)
        text_format(text, "%" PRIu32 " µs", microseconds);
    else
        text_format(text, "%.1f ms", microseconds / 1000.0);
}

static void foot_hit(struct text *text, const struct served *served, const char *cache)
{
    text_put(text, "</main><footer class=\"hit\">From the cache in <b>");
    duration(text, served->total_us);
    text_format(text, "</b>, which saved %" PRIu32 " queries and ", served->questions);
    duration(text, served->render_us);
    text_put(text, " · ");
    text_html(text, cache);
}

static void foot_rendered(struct text *text, const struct served *served, const char *cache)
{
    text_format(text, "</main><footer class=\"%s\">From the database: %" PRIu32 " queries in <b>",
                served->status < 0 ? "failed" : "miss", served->questions);
    duration(text, served->render_us);
    text_put(text, "</b> · ");
    if (served->stored)
        text_format(text, "now cached, tied to %zu package%s", served->page.shown_count,
                    served->page.shown_count == 1 ? "" : "s");
    else if (served->status == LARDER_OK)
        text_put(text, "not cached: this cache keeps nothing");
    else
        text_format(text, "not cached: %s, %s", larder_status_name(served->status),
                    larder_status_sentence(served->status));
    text_put(text, " · ");
    text_html(text, cache);
}

void frame_foot_served(struct text *text, const struct served *served, const char *cache)
{
    if (served->hit)
        foot_hit(text, served, cache);
    else
        foot_rendered(text, served, cache);
    text_put(text, "</footer></body></html>\n");
}

void frame_foot(struct text *text)
{
    text_put(text, "</main></body></html>\n");
}
