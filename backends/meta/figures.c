/* Statistics: of the cache, and of each server. */
#include "meta.h"

#include <stdio.h>

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_site_figure(struct larder_stats_out *out, uint32_t index, const char *what,
                            uint64_t value)
{
    char name[sizeof(((struct larder_stat *)NULL)->name)];
    snprintf(name, sizeof(name), "server.%u.%s", index, what);
    larder_stat_add(out, name, value);
}

static void add_failures(struct larder_stats_out *out, const struct site *site, uint32_t index)
{
#define ADD_FAILURE(name, text, sentence) \
    add_site_figure(out, index, "failed." #text, load(&site->failed[LARDER_META_FAILURE_##name]));
    LARDER_META_FAILURE_TABLE(ADD_FAILURE)
#undef ADD_FAILURE
}

/* Buckets that nothing fell into are left out. */
static void add_latencies(struct larder_stats_out *out, const struct site *site, uint32_t index)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        char what[32];
        uint64_t exchanges = load(&site->latency[i]);
        snprintf(what, sizeof(what), "latency_us.%u", i == 0 ? 0 : 1u << (i - 1));
        if (exchanges > 0)
            add_site_figure(out, index, what, exchanges);
    }
}

static void add_site_figures(struct larder_stats_out *out, struct site *site, uint32_t index)
{
    struct larder_markdown_figures markdown;
    struct larder_pool_figures pool;
    larder_markdown_read(&site->markdown, &markdown);
    larder_pool_stats(site->pool, &pool);
    add_site_figure(out, index, "down", (uint64_t)markdown.down);
    add_site_figure(out, index, "markdowns", markdown.markdowns);
    add_site_figure(out, index, "probes", markdown.probes);
    add_site_figure(out, index, "pool.idle", pool.idle);
    add_site_figure(out, index, "pool.waiting", pool.waiting);
    add_site_figure(out, index, "pool.timeouts", pool.timeouts);
#define ADD_COUNTER(name) add_site_figure(out, index, #name, load(&site->counters.name));
    SITE_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
    add_failures(out, site, index);
    add_latencies(out, site, index);
}

void meta_stats(const struct larder_scope *scope, struct larder_stats_out *out)
{
    struct meta *meta = scope->self;
#define ADD_COUNTER(name) larder_stat_add(out, #name, load(&meta->common->counters.name));
    META_COUNTER_TABLE(ADD_COUNTER)
#undef ADD_COUNTER
#define ADD_TOTAL(name) larder_stat_add(out, #name, load(&meta->common->totals.name));
    SITE_COUNTER_TABLE(ADD_TOTAL)
#undef ADD_TOTAL
    for (uint32_t i = 0; i < meta->site_count; i++)
        add_site_figures(out, meta->sites[i], i);
}
