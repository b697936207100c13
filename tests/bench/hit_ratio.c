/*
 * larder-hit-ratio: what share of requests finds its object, by policy and by size of the cache.
 *
 * One trace, several sizes, a column for each policy (policy/) and for each URI: a real cache that
 * is driven through the public calls, whatever its policy is. hit_ratio.sh runs it over a folder of
 * traces, hit_ratio_plot.awk draws what it prints.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"

#define URIS_MAX 8
#define SIZES_MAX 16
#define COLUMNS_MAX 32

static const char usage[] =
    "larder-hit-ratio [OPTION]...: hit ratios of cache policies and of caches\n"
    "  --trace FILE      oracleGeneral records, uncompressed; - is the standard input\n"
    "  --workload NAME   zipf (where no trace is given), scan, loop or drift\n"
    "  --name NAME       what to call it in the output\n"
    "  --seed NUMBER     of a workload\n"
    "  --sizes LIST      of the cache, in % of the trace's objects: 0.1,1,3,10,20\n"
    "  --least NUMBER    leave out sizes of fewer objects: 1000\n"
    "  --most NUMBER     leave out sizes of as many objects or more\n"
    "  --sized           objects weigh the bytes that the trace states, not 1 each\n"
    "  --warm-up NUMBER  of requests that are not counted\n"
    "  --policies LIST   their names, or none; all where not given\n"
    "  --uri URI         a cache, without max_bytes; may be given eight times\n"
    "  --value-bytes N   of a cache's values: 100; with --sized as the trace states\n"
    "  --no-header       of the table\n"
    "  --json FILE       writes the figures there as well\n";

static const struct policy *const policies[] = {
    &policy_fifo,       &policy_lru,    &policy_s3fifo,   &policy_sieve, &policy_tinylfu_1,
    &policy_tinylfu_10, &policy_belady, &policy_segments, NULL};

struct plan {
    const char *trace, *workload, *name, *json;
    const char *policies; /* NULL: all */
    const char *uris[URIS_MAX];
    unsigned uri_count, size_count;
    double percent[SIZES_MAX];
    double least, most; /* objects */
    uint64_t seed;
    size_t warm_up;
    uint32_t value_bytes;
    int sized, no_header;
};

/* One line of the table. */
struct row {
    double percent;
    uint64_t entries;
    double ratios[COLUMNS_MAX];
};

struct table {
    const struct plan *plan;
    const char *columns[COLUMNS_MAX];
    unsigned column_count, row_count;
    struct row rows[SIZES_MAX];
};

/* ---- arguments ----------------------------------------------------------------------------- */

static void give_up(const char *what, const char *why)
{
    fprintf(stderr, "larder-hit-ratio: %s: %s\n", what, why);
    exit(2);
}

static double number(const char *option, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || (*end != '\0' && *end != ',') || !(value >= 0 && value <= 1e15))
        give_up(option, "not a number in range");
    return value;
}

static void read_sizes(struct plan *plan, const char *text)
{
    plan->size_count = 0;
    for (const char *from = text; from != NULL; from = strchr(from, ',')) {
        from += *from == ',';
        if (plan->size_count == SIZES_MAX)
            give_up("--sizes", "too many");
        double percent = number("--sizes", from);
        if (!(percent > 0 && percent <= 100))
            give_up("--sizes", "not within 0 and 100");
        plan->percent[plan->size_count++] = percent;
    }
}

static void add_uri(struct plan *plan, const char *uri)
{
    if (plan->uri_count == URIS_MAX)
        give_up("--uri", "too many");
    plan->uris[plan->uri_count++] = uri;
}

static const struct option options[] = {
    {"trace", 1, NULL, 't'},     {"workload", 1, NULL, 'w'}, {"name", 1, NULL, 'n'},
    {"seed", 1, NULL, 's'},      {"sizes", 1, NULL, 'p'},    {"least", 1, NULL, 'l'},
    {"most", 1, NULL, 'm'},      {"sized", 0, NULL, 'z'},    {"warm-up", 1, NULL, 'u'},
    {"policies", 1, NULL, 'o'},  {"uri", 1, NULL, 'c'},      {"value-bytes", 1, NULL, 'v'},
    {"no-header", 0, NULL, 'h'}, {"json", 1, NULL, 'j'},     {"help", 0, NULL, '?'},
    {NULL, 0, NULL, 0}};

static void take_number(struct plan *plan, int option, double value)
{
    if (option == 's')
        plan->seed = (uint64_t)value;
    else if (option == 'l')
        plan->least = value;
    else if (option == 'm')
        plan->most = value;
    else if (option == 'u')
        plan->warm_up = (size_t)value;
    else if (value >= 1 && value <= 1 << 20)
        plan->value_bytes = (uint32_t)value;
    else
        give_up("--value-bytes", "1 to 1048576");
}

static void take(struct plan *plan, int option, const char *value)
{
    switch (option) {
    case 't':
        plan->trace = value;
        break;
    case 'w':
        plan->workload = value;
        break;
    case 'n':
        plan->name = value;
        break;
    case 'p':
        read_sizes(plan, value);
        break;
    case 'z':
        plan->sized = 1;
        break;
    case 'o':
        plan->policies = value;
        break;
    case 'c':
        add_uri(plan, value);
        break;
    case 'h':
        plan->no_header = 1;
        break;
    case 'j':
        plan->json = value;
        break;
    default:
        take_number(plan, option, number("a number", value));
    }
}

static void read_arguments(struct plan *plan, int count, char **arguments)
{
    *plan = (struct plan){
        .workload = "zipf", .seed = 1000, .least = 1000, .most = 1e18, .value_bytes = 100};
    read_sizes(plan, "0.1,1,3,10,20");
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == '?') {
            fputs(usage, stderr);
            exit(2);
        }
        take(plan, option, optarg);
    }
    if (optind < count)
        give_up(arguments[optind], "not an option");
    if (plan->sized)
        plan->value_bytes = 0;
    if (plan->name == NULL)
        plan->name = plan->trace != NULL ? plan->trace : plan->workload;
}

/* Whether a list of names, with commas between, has this one. */
static int lists(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; at != NULL && *at != '\0'; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return 1;
    }
    return 0;
}

/* ---- measuring ----------------------------------------------------------------------------- */

static void load(struct trace *trace, const struct plan *plan)
{
    const char *message = NULL;
    if (plan->trace == NULL) {
        if (!trace_make(trace, plan->workload, plan->seed))
            give_up(plan->workload, "no such workload, or no memory");
    } else {
        FILE *file = strcmp(plan->trace, "-") == 0 ? stdin : fopen(plan->trace, "rb");
        if (file == NULL || !trace_read(trace, file, plan->sized, &message)) {
            if (file == NULL)
                perror(plan->trace);
            give_up(plan->trace, message != NULL ? message : "not to be read");
        }
        if (file != stdin)
            fclose(file);
    }
    if (plan->warm_up > 0)
        trace->warm_up = plan->warm_up;
    if (trace->warm_up >= trace->requests)
        give_up("--warm-up", "as long as the trace");
}

static double measure_cache(const struct plan *plan, const char *uri, const struct trace *trace,
                            uint64_t capacity)
{
    struct replay_cache cache = {.uri = uri, .value_bytes = plan->value_bytes};
    const char *message;
    double ratio = 0;
    if (!replay_cache(&cache, trace, capacity, &ratio, &message))
        give_up(uri, message);
    fprintf(stderr, "%s: %s: max_bytes=%llu holds %.2f %% of %llu\n", plan->name, uri,
            (unsigned long long)cache.max_bytes, cache.held * 100, (unsigned long long)capacity);
    return ratio;
}

static void measure(struct table *table, const struct trace *trace, struct row *row,
                    uint64_t capacity)
{
    const struct plan *plan = table->plan;
    unsigned column = 0;
    for (unsigned i = 0; policies[i] != NULL; i++)
        if (plan->policies == NULL || lists(plan->policies, policies[i]->name))
            if (!replay_policy(policies[i], trace, capacity, &row->ratios[column++]))
                give_up(policies[i]->name, "no memory");
    for (unsigned i = 0; i < plan->uri_count; i++)
        row->ratios[column++] = measure_cache(plan, plan->uris[i], trace, capacity);
}

static void name_columns(struct table *table)
{
    for (unsigned i = 0; policies[i] != NULL; i++)
        if (table->plan->policies == NULL || lists(table->plan->policies, policies[i]->name))
            table->columns[table->column_count++] = policies[i]->name;
    for (unsigned i = 0; i < table->plan->uri_count; i++)
        table->columns[table->column_count++] = table->plan->uris[i];
}

static void measure_all(struct table *table, const struct trace *trace)
{
    for (unsigned i = 0; i < table->plan->size_count; i++) {
        double percent = table->plan->percent[i];
        uint64_t entries = (uint64_t)(trace->objects * percent / 100 + 0.5);
        uint64_t capacity = (uint64_t)((double)trace->weight * percent / 100 + 0.5);
        if (entries < 1 || (double)entries < table->plan->least ||
            (double)entries >= table->plan->most)
            continue;
        struct row *row = &table->rows[table->row_count++];
        *row = (struct row){.percent = percent, .entries = entries};
        measure(table, trace, row, capacity);
    }
}

/* ---- output -------------------------------------------------------------------------------- */

static void print_table(const struct table *table)
{
    if (!table->plan->no_header) {
        printf("trace\tsize %%\tobjects");
        for (unsigned i = 0; i < table->column_count; i++)
            printf("\t%s", table->columns[i]);
        putchar('\n');
    }
    for (unsigned r = 0; r < table->row_count; r++) {
        const struct row *row = &table->rows[r];
        printf("%s\t%g\t%llu", table->plan->name, row->percent, (unsigned long long)row->entries);
        for (unsigned i = 0; i < table->column_count; i++)
            printf("\t%.2f", row->ratios[i] * 100);
        putchar('\n');
    }
}

static void write_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ')
            fprintf(file, "\\u%04x", (unsigned char)*text);
        else
            fprintf(file, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    fputc('"', file);
}

static void write_row(FILE *file, const struct table *table, const struct row *row)
{
    fprintf(file, "    {\"percent\": %g, \"objects\": %llu, \"hit_ratio\": {", row->percent,
            (unsigned long long)row->entries);
    for (unsigned i = 0; i < table->column_count; i++) {
        fputs(i > 0 ? ", " : "", file);
        write_string(file, table->columns[i]);
        fprintf(file, ": %.6f", row->ratios[i]);
    }
    fputs("}}", file);
}

static int write_json(const struct table *table, const struct trace *trace)
{
    FILE *file = fopen(table->plan->json, "w");
    if (file == NULL) {
        perror(table->plan->json);
        return 0;
    }
    fputs("{\"trace\": ", file);
    write_string(file, table->plan->name);
    fprintf(file, ", \"requests\": %zu, \"warm_up\": %zu, \"objects\": %u, \"sizes\": [\n",
            trace->requests, trace->warm_up, (unsigned)trace->objects);
    for (unsigned r = 0; r < table->row_count; r++) {
        fputs(r > 0 ? ",\n" : "", file);
        write_row(file, table, &table->rows[r]);
    }
    fputs("]}\n", file);
    return fclose(file) == 0;
}

int main(int count, char **arguments)
{
    struct plan plan;
    struct trace trace;
    read_arguments(&plan, count, arguments);
    load(&trace, &plan);
    struct table table = {.plan = &plan};
    name_columns(&table);
    measure_all(&table, &trace);
    print_table(&table);
    int right = plan.json == NULL || write_json(&table, &trace);
    trace_clean_up(&trace);
    return !right;
}
