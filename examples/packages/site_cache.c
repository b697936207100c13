/* The page about the cache: what it can do, what it has done. */
#include "site.h"

#include <inttypes.h>
#include <stdlib.h>

#include <larder/traits.h>

#include "frame.h"

static void row_number(struct text *text, const char *name, uint64_t value)
{
    text_put(text, "<tr><td>");
    text_html(text, name);
    text_put(text, "</td><td>");
    text_number(text, (long long)value);
    text_put(text, "</td></tr>\n");
}

static void row_text(struct text *text, const char *name, const char *value)
{
    text_format(text, "<tr><td>%s</td><td>%s</td></tr>\n", name, value);
}

static void begin_table(struct text *text, const char *title)
{
    text_format(text, "<h2>%s</h2>\n<div class=\"scroll\"><table>\n", title);
}

static void end_table(struct text *text)
{
    text_put(text, "</table></div>\n");
}

static void render_figures(struct text *text, struct site *site)
{
    struct figures *figures = &site->pages.figures;
    begin_table(text, "This site");
    row_number(text, "pages from the cache", figure_get(&figures->hits));
    row_number(text, "pages from the database", figure_get(&figures->misses));
    row_number(text, "pages stored", figure_get(&figures->stored));
    row_number(text, "queries asked", figure_get(&figures->questions));
    row_number(text, "queries saved", figure_get(&figures->questions_saved));
    row_number(text, "edits", figure_get(&figures->edits));
    row_number(text, "pages that edits dropped", figure_get(&figures->dropped));
    row_number(text, "times that all pages were flushed", figure_get(&figures->flushed));
    row_number(text, "calls of the cache that failed",
               atomic_load_explicit(&site->caches->failures, memory_order_relaxed));
    end_table(text);
}

static void render_can(struct text *text, const struct larder_traits *traits)
{
#define ROW(name, bit, words)                                                \
    row_text(text, words,                                                    \
             (traits->can & LARDER_CAN_##name) != 0     ? "natively"         \
             : (traits->steps & LARDER_CAN_##name) != 0 ? "in several steps" \
                                                        : "no");
    LARDER_CAN_TABLE(ROW)
#undef ROW
}

static void render_promises(struct text *text, const struct larder_traits *traits)
{
#define ROW(name, bit, words) row_text(text, words, traits->promises >> bit & 1 ? "yes" : "no");
    LARDER_PROMISE_TABLE(ROW)
#undef ROW
}

static void render_traits(struct text *text, const struct larder_traits *traits)
{
    static const char *const orders[] = {"eventual", "own writes", "linearizable"};
    begin_table(text, "What it can do");
    render_can(text, traits);
    end_table(text);
    begin_table(text, "What it promises, and within what limits");
    row_text(text, "operations on one key are ordered",
             traits->consistency < 3 ? orders[traits->consistency] : "?");
    render_promises(text, traits);
    row_number(text, "largest value, bytes", traits->value_max);
    row_number(text, "longest key that is sent as it is, bytes", traits->key_max);
    row_number(text, "step of TTLs, milliseconds", traits->ttl_step_ms);
    end_table(text);
}

static void render_stats(struct text *text, struct larder_cache *cache, const char *title)
{
    size_t count = 0;
    if (larder_stats(cache, NULL, 0, &count) != LARDER_OK || count == 0)
        return;
    size_t capacity = count;
    struct larder_stat *rows = calloc(capacity, sizeof(*rows));
    if (rows == NULL || larder_stats(cache, rows, capacity, &count) != LARDER_OK) {
        free(rows);
        return;
    }
    begin_table(text, title);
    for (size_t i = 0; i < count && i < capacity; i++)
        if (rows[i].value != 0)
            row_number(text, rows[i].name, rows[i].value);
    end_table(text);
    free(rows);
}

void site_answer_cache(struct site *site, struct answer *answer)
{
    struct text *text = &answer->foot;
    answer->code = 200;
    frame_head(&answer->head, "the cache", NULL);
    text_put(text, "<h1>The cache</h1>\n<p class=\"synopsis\"><code>");
    text_html(text, site->caches->label);
    text_put(text, "</code></p>\n<div class=\"columns\"><section>\n");
    render_figures(text, site);
    render_stats(text, site->caches->pages, "Statistics of namespace pages");
    render_stats(text, site->caches->views, "Statistics of namespace views");
    text_put(text, "</section><section>\n");
    render_traits(text, larder_describe(site->caches->pages));
    text_put(text, "</section></div>\n");
    frame_foot(text);
}
