#include "report.h"

#include <larder/larder.h>

/* ---- for people ---------------------------------------------------------------------------- */

/* Three digits and a unit, as in "6.21 M". */
static const char *rate_text(double rate, char text[16])
{
    const char *unit = rate >= 1e6 ? " M" : rate >= 1e3 ? " k" : "";
    double shown = rate >= 1e6 ? rate / 1e6 : rate >= 1e3 ? rate / 1e3 : rate;
    snprintf(text, 16, "%.*f%s", shown < 10 ? 2 : shown < 100 ? 1 : 0, shown, unit);
    return text;
}

static void table_row(const struct results *results, unsigned subject, unsigned cell, FILE *out)
{
    const struct plan *plan = results->plan;
    double *const *rounds = results->subjects[subject].cells[cell].rounds;
    struct summary rate = summary_of(rounds[FIGURE_RATE], plan->rounds);
    struct summary ratio = summary_to(results, subject, 0, cell);
    char median[16], least[16], most[16];
    fprintf(out, "  %-6s %3u %9s/s (%8s to %8s) %6.3f (%5.3f to %5.3f)",
            plan_operation_name(cell_operation(plan, cell)), cell_threads(plan, cell),
            rate_text(rate.median, median), rate_text(rate.least, least),
            rate_text(rate.most, most), ratio.median, ratio.least, ratio.most);
    for (unsigned i = FIGURE_P50; i <= FIGURE_CPU; i++)
        fprintf(out, " %7.0f", summary_of(rounds[i], plan->rounds).median);
    fprintf(out, " %7.4f", summary_of(rounds[FIGURE_HITS], plan->rounds).median);
    double failures = summary_of(rounds[FIGURE_FAILURES], plan->rounds).most;
    if (failures > 0)
        fprintf(out, "  %.0f CALLS FAILED", failures);
    fputc('\n', out);
}

static void table_subject(const struct results *results, unsigned number, FILE *out)
{
    const struct plan *plan = results->plan;
    const struct subject *subject = &results->subjects[number];
    struct summary others = summary_of(subject->others, plan->rounds);
    fprintf(out, "\n%s\n", subject->name);
    if (subject->memory_bytes >= 1)
        fprintf(out, "  %.0f bytes resident per item, of which %u are key and value\n",
                subject->memory_bytes, plan->key_bytes + plan->value_bytes);
    fprintf(out, "  other processes used %.1f %% (%.1f to %.1f) of the cores\n",
            others.median * 100, others.least * 100, others.most * 100);
    fprintf(out, "  %-6s %3s %11s %21s %22s %7s %7s %7s %7s %7s\n", "", "thr", "operations", "",
            "to the first URI", "p50 ns", "p99", "p99.9", "cpu ns", "hits");
    for (unsigned cell = 0; cell < results->cell_count; cell++)
        table_row(results, number, cell, out);
}

/* Everything beside one peer: the medians of the ratios within each round. */
static void table_beside(const struct results *results, unsigned base, FILE *out)
{
    const struct plan *plan = results->plan;
    fprintf(out, "\n%-36s", plan->uris[base]);
    for (unsigned cell = 0; cell < results->cell_count; cell++)
        fprintf(out, " %6s %2u thr", plan_operation_name(cell_operation(plan, cell)),
                cell_threads(plan, cell));
    for (unsigned number = 0; number < plan->uri_count; number++) {
        fprintf(out, "\n  %-34s", plan->uris[number]);
        for (unsigned cell = 0; cell < results->cell_count; cell++)
            fprintf(out, " %13.3f", summary_to(results, number, base, cell).median);
    }
    fputc('\n', out);
}

static void table_ratios(const struct results *results, FILE *out)
{
    const struct plan *plan = results->plan;
    const char *title = "\noperations a second, each to those of a bare peer (1.05: 5 % more)\n";
    for (unsigned i = 0; i < plan->uri_count; i++)
        if (plan_peer_of(plan->uris[i]) != PLAN_PEERS) {
            fputs(title, out);
            title = "";
            table_beside(results, i, out);
        }
}

void report_table(const struct results *results, FILE *out)
{
    const struct plan *plan = results->plan;
    fprintf(out, "larder %s: %u keys of %u bytes, values of %u bytes, ", larder_version(),
            plan->keys, plan->key_bytes, plan->value_bytes);
    if (plan->theta > 0)
        fprintf(out, "Zipf %g; ", plan->theta);
    else
        fprintf(out, "uniform; ");
    fprintf(out, "many: %u keys\nmedian of %u interleaved rounds (least to most); ", plan->batch,
            plan->rounds);
    fprintf(out, "reading the clock, %.0f ns, is part of p50, p99, p99.9\n", results->clock_ns);
    for (unsigned i = 0; i < plan->uri_count; i++)
        table_subject(results, i, out);
    table_ratios(results, out);
}

/* ---- for programs -------------------------------------------------------------------------- */

static void json_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static void json_figure(const char *name, const double *rounds, unsigned count, FILE *out)
{
    struct summary summary = summary_of(rounds, count);
    fprintf(out, "\"%s\": {\"median\": %.9g, \"min\": %.9g, \"max\": %.9g, \"rounds\": [", name,
            summary.median, summary.least, summary.most);
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "%s%.9g", i > 0 ? ", " : "", rounds[i]);
    fputs("]}", out);
}

static void json_ratios(const struct results *results, unsigned subject, unsigned cell, FILE *out)
{
    const struct plan *plan = results->plan;
    const char *between = "";
    fprintf(out, ",\n     \"ratio_to_first\": %.9g, \"ratios_to_peers\": {",
            summary_to(results, subject, 0, cell).median);
    for (unsigned base = 0; base < plan->uri_count; base++)
        if (plan_peer_of(plan->uris[base]) != PLAN_PEERS) {
            fputs(between, out);
            between = ", ";
            json_text(plan->uris[base], out);
            fprintf(out, ": %.9g", summary_to(results, subject, base, cell).median);
        }
    fputc('}', out);
}

static void json_cell(const struct results *results, unsigned subject, unsigned cell, FILE *out)
{
    static const char *const names[FIGURES] = {
        "operations_per_second", "p50_ns",    "p99_ns",  "p999_ns",
        "cpu_ns_per_operation",  "hit_ratio", "failures"};
    const struct plan *plan = results->plan;
    fprintf(out, "%s\n    {\"operation\": \"%s\", \"threads\": %u", cell > 0 ? "," : "",
            plan_operation_name(cell_operation(plan, cell)), cell_threads(plan, cell));
    for (unsigned i = 0; i < FIGURES; i++) {
        fputs(",\n     ", out);
        json_figure(names[i], results->subjects[subject].cells[cell].rounds[i], plan->rounds, out);
    }
    json_ratios(results, subject, cell, out);
    fputc('}', out);
}

static void json_subject(const struct results *results, unsigned number, FILE *out)
{
    const struct subject *subject = &results->subjects[number];
    fprintf(out, "%s\n  {\"uri\": ", number > 0 ? "," : "");
    json_text(subject->name, out);
    fprintf(out, ", \"resident_bytes_per_item\": %.9g, ", subject->memory_bytes);
    json_figure("others_share", subject->others, results->plan->rounds, out);
    fputs(", \"measurements\": [", out);
    for (unsigned cell = 0; cell < results->cell_count; cell++)
        json_cell(results, number, cell, out);
    fputs("]}", out);
}

void report_json(const struct results *results, FILE *out)
{
    const struct plan *plan = results->plan;
    fprintf(out, "{\"larder\": \"%s\", \"rounds\": %u, \"keys\": %u, \"key_bytes\": %u, ",
            larder_version(), plan->rounds, plan->keys, plan->key_bytes);
    fprintf(out, "\"value_bytes\": %u, \"zipf\": %g, \"batch\": %u, \"seed\": %u, ",
            plan->value_bytes, plan->theta, plan->batch, plan->seed);
    fprintf(out, "\"ttl_ms\": %lld, \"namespace\": ", (long long)plan->ttl_ms);
    json_text(plan->namespace_name != NULL ? plan->namespace_name : "", out);
    fprintf(out, ", \"session\": %s, \"seconds\": %g, \"clock_ns\": %.9g,\n \"subjects\": [",
            plan->session ? "true" : "false", plan->seconds, results->clock_ns);
    for (unsigned i = 0; i < plan->uri_count; i++)
        json_subject(results, i, out);
    fputs("]}\n", out);
}
