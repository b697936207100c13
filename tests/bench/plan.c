#include "plan.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/larder.h>

static const char *const operation_names[] = {
#define OPERATION_NAME(NAME, name, sentence) #name,
    PLAN_OPERATION_TABLE(OPERATION_NAME)
#undef OPERATION_NAME
};

static const char *const peer_schemes[] = {
#define PEER_SCHEME(NAME, scheme, program) scheme,
    PLAN_PEER_TABLE(PEER_SCHEME)
#undef PEER_SCHEME
};

static const char *const peer_programs[] = {
#define PEER_PROGRAM(NAME, scheme, program) program,
    PLAN_PEER_TABLE(PEER_PROGRAM)
#undef PEER_PROGRAM
        [PLAN_PEERS] = ""};

static const char help[] =
    "Usage: larder-bench --uri URI [--uri URI]... [OPTION]...\n"
    "Measures caches through the public calls, as an application would use them. Each round runs\n"
    "every URI in a process of its own, in turn; figures are medians over the rounds.\n"
    "\n"
    "What is measured\n"
    "  --uri URI                a cache; \"@server\" in it, as in "
    "pooled-memcached:@server?size=4,\n"
    "                           stands for a memcached that is started and ended here, with\n"
    "                           one thread for each core of --pin, else two\n"
    "  --bare-libmemcached SERVER  a plain libmemcached program, the text protocol; the server\n"
    "                           as /path, //127.0.0.1:11211 or @server\n"
    "  --bare-meta SERVER       a plain loop over a socket of its own, the meta protocol\n"
    "  --bare-meta-classic SERVER  the same; \"many\" is one classic get line\n"
    "  --tcp                    @server listens on 127.0.0.1, not on a Unix socket\n"
    "  --operation LIST         of those below, with commas (default: read,get,many,set,mix)\n"
    "  --threads LIST           default: 1\n"
    "  --namespace NAME         go through a client and this namespace of it\n"
    "  --session                each thread holds one session\n"
    "With what\n"
    "  --keys NUMBER            default: 1000000\n"
    "  --key-bytes NUMBER       8 to 250; default: 32\n"
    "  --value-bytes NUMBER     8 to 1000000; default: 100\n"
    "  --batch NUMBER           keys of one \"many\"; default: 64\n"
    "  --zipf THETA             popularity falls with rank^-THETA; default: 0.99\n"
    "  --uniform                every key as often\n"
    "  --ttl TIME               as 500ms, 15s, 1h; 0: for ever (default); default: the cache's "
    "own\n"
    "  --seed NUMBER            default: 0, the draws of the peers' harness\n"
    "How\n"
    "  --seconds NUMBER         of each pass; default: 1\n"
    "  --warm-up NUMBER         seconds before each pass that do not count; default: 0.2\n"
    "  --rounds NUMBER          default: 5\n"
    "  --tries NUMBER           do a run again, so often at most, in which other processes took "
    "more\n"
    "                           than 4 % of the cores; the least disturbed counts; default: 1\n"
    "  --pin CORES              keep server and threads on these cores, as in 0 or 0,1\n"
    "  --no-latency             leave out the second pass, which times single calls\n"
    "  --json FILE              write all figures there too\n"
    "  --help\n"
    "\n"
    "Operations\n"
#define OPERATION_HELP(NAME, name, sentence) "  " #name "\t" sentence "\n"
    PLAN_OPERATION_TABLE(OPERATION_HELP)
#undef OPERATION_HELP
        "\n"
        "meta beside libmemcached and a bare socket: add --tcp for TCP loopback\n"
        "  larder-bench --bare-meta @server --bare-meta-classic @server --bare-libmemcached "
        "@server \\\n"
        "      --uri meta:@server --uri 'meta:@server?classic_reads=on' --uri "
        "pooled-memcached:@server \\\n"
        "      --operation get,set,many --batch 100 --keys 100000 --pin 0 --rounds 9 --tries 3\n";

enum option_number {
    OPTION_URI = 256,
    OPTION_BARE, /* and as many as there are peers */
    OPTION_BARE_LAST = OPTION_BARE + PLAN_PEERS - 1,
    OPTION_TCP,
    OPTION_OPERATION,
    OPTION_THREADS,
    OPTION_NAMESPACE,
    OPTION_SESSION,
    OPTION_KEYS,
    OPTION_KEY_BYTES,
    OPTION_VALUE_BYTES,
    OPTION_BATCH,
    OPTION_ZIPF,
    OPTION_UNIFORM,
    OPTION_TTL,
    OPTION_SEED,
    OPTION_SECONDS,
    OPTION_WARM_UP,
    OPTION_ROUNDS,
    OPTION_TRIES,
    OPTION_PIN,
    OPTION_NO_LATENCY,
    OPTION_JSON,
    OPTION_SUBJECT,
    OPTION_LOADED,
    OPTION_HELP
};

static const struct option options[] = {
    {"uri", required_argument, NULL, OPTION_URI},
#define PEER_OPTION(NAME, scheme, program) \
    {scheme, required_argument, NULL, OPTION_BARE + PLAN_PEER_##NAME},
    PLAN_PEER_TABLE(PEER_OPTION)
#undef PEER_OPTION
        {"tcp", no_argument, NULL, OPTION_TCP},
    {"operation", required_argument, NULL, OPTION_OPERATION},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"namespace", required_argument, NULL, OPTION_NAMESPACE},
    {"session", no_argument, NULL, OPTION_SESSION},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"key-bytes", required_argument, NULL, OPTION_KEY_BYTES},
    {"value-bytes", required_argument, NULL, OPTION_VALUE_BYTES},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"zipf", required_argument, NULL, OPTION_ZIPF},
    {"uniform", no_argument, NULL, OPTION_UNIFORM},
    {"ttl", required_argument, NULL, OPTION_TTL},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warm-up", required_argument, NULL, OPTION_WARM_UP},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"tries", required_argument, NULL, OPTION_TRIES},
    {"pin", required_argument, NULL, OPTION_PIN},
    {"no-latency", no_argument, NULL, OPTION_NO_LATENCY},
    {"json", required_argument, NULL, OPTION_JSON},
    {"subject", required_argument, NULL, OPTION_SUBJECT}, /* from ourselves, see child.c */
    {"loaded", no_argument, NULL, OPTION_LOADED},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fputs("larder-bench: ", stderr);
    vfprintf(stderr, format, list);
    fputs(" (see --help)\n", stderr);
    va_end(list);
    exit(2);
}

static unsigned number_of(const char *text, unsigned least, unsigned most)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number < least ||
        number > most)
        refuse("\"%s\" is not a number from %u to %u", text, least, most);
    return (unsigned)number;
}

static double real_of(const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most))
        refuse("\"%s\" is not a number from %g to %g", text, least, most);
    return number;
}

static int64_t ttl_of(const char *text)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (strcmp(text, "default") == 0)
        return LARDER_TTL_DEFAULT;
    if (strcmp(text, "0") == 0)
        return LARDER_TTL_FOREVER;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 8)
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            if (strcmp(text + digits, units[i].name) == 0)
                return atol(text) * units[i].ms;
    refuse("\"%s\" is not a time such as 500ms, 15s, 1h, 0 or default", text);
}

static unsigned operation_of(const char *text)
{
    for (unsigned i = 0; i < PLAN_OPERATIONS; i++)
        if (strcmp(text, operation_names[i]) == 0)
            return i;
    refuse("there is no operation \"%s\"", text);
}

static unsigned threads_of(const char *text)
{
    return number_of(text, 1, PLAN_THREADS_MAX);
}

static unsigned core_of(const char *text)
{
    return number_of(text, 0, CPU_SETSIZE - 1);
}

static unsigned list_read(unsigned *list, char *text, unsigned (*read_one)(const char *))
{
    unsigned count = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (count == PLAN_LIST_MAX)
            refuse("more than %u in one list", PLAN_LIST_MAX);
        list[count++] = read_one(one);
    }
    if (count == 0)
        refuse("an empty list");
    return count;
}

/* The list is cut up in a copy: the arguments are handed on to the measuring processes. */
static unsigned list_of(unsigned *list, const char *text, unsigned (*read_one)(const char *))
{
    char *copy = strdup(text);
    if (copy == NULL)
        refuse("no memory");
    unsigned count = list_read(list, copy, read_one);
    free(copy);
    return count;
}

static void uri_add(struct plan *plan, const char *scheme, const char *uri)
{
    if (plan->uri_count == PLAN_URIS_MAX)
        refuse("more than %u caches", PLAN_URIS_MAX);
    if (asprintf(&plan->uris[plan->uri_count++], "%s%s%s", scheme, *scheme != '\0' ? ":" : "",
                 uri) < 0)
        refuse("no memory");
}

static void take_what(struct plan *plan, int option, const char *text)
{
    switch (option) {
    case OPTION_URI:
        uri_add(plan, "", text);
        break;
    case OPTION_TCP:
        plan->tcp = 1;
        break;
    case OPTION_OPERATION:
        plan->operation_count = list_of(plan->operations, text, operation_of);
        break;
    case OPTION_THREADS:
        plan->threads_count = list_of(plan->threads, text, threads_of);
        break;
    case OPTION_PIN:
        plan->core_count = list_of(plan->cores, text, core_of);
        break;
    case OPTION_NAMESPACE:
        plan->namespace_name = text;
        break;
    case OPTION_SESSION:
        plan->session = 1;
        break;
    case OPTION_JSON:
        plan->json = text;
        break;
    case OPTION_SUBJECT:
        plan->subject = text;
        break;
    case OPTION_LOADED:
        plan->loaded = 1;
        break;
    case OPTION_HELP:
        fputs(help, stdout);
        exit(0);
    default: /* getopt_long() has said what is wrong */
        exit(2);
    }
}

static const struct {
    int option;
    unsigned least, most;
    size_t place; /* in struct plan */
} numbers[] = {
    {OPTION_KEYS, 1, 1u << 28, offsetof(struct plan, keys)},
    {OPTION_KEY_BYTES, 8, 250, offsetof(struct plan, key_bytes)},
    {OPTION_VALUE_BYTES, 8, 1000000, offsetof(struct plan, value_bytes)},
    {OPTION_BATCH, 1, PLAN_BATCH_MAX, offsetof(struct plan, batch)},
    {OPTION_ROUNDS, 1, PLAN_ROUNDS_MAX, offsetof(struct plan, rounds)},
    {OPTION_TRIES, 1, 100, offsetof(struct plan, tries)},
    {OPTION_SEED, 0, UINT32_MAX, offsetof(struct plan, seed)},
};

static int take_number(struct plan *plan, int option, const char *text)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].option == option) {
            unsigned number = number_of(text, numbers[i].least, numbers[i].most);
            memcpy((char *)plan + numbers[i].place, &number, sizeof(number));
            return 1;
        }
    return 0;
}

static int take_peer(struct plan *plan, int option, const char *text)
{
    if (option < OPTION_BARE || option > OPTION_BARE_LAST)
        return 0;
    uri_add(plan, peer_schemes[option - OPTION_BARE], text);
    return 1;
}

static void take(struct plan *plan, int option, const char *text)
{
    if (take_number(plan, option, text) || take_peer(plan, option, text))
        return;
    switch (option) {
    case OPTION_ZIPF:
        plan->theta = real_of(text, 0.01, 10);
        break;
    case OPTION_UNIFORM:
        plan->theta = 0;
        break;
    case OPTION_TTL:
        plan->ttl_ms = ttl_of(text);
        break;
    case OPTION_SECONDS:
        plan->seconds = real_of(text, 0.001, 3600);
        break;
    case OPTION_WARM_UP:
        plan->warm_up = real_of(text, 0, 3600);
        break;
    case OPTION_NO_LATENCY:
        plan->latency = 0;
        break;
    default:
        take_what(plan, option, text);
    }
}

void plan_read(struct plan *plan, int count, char **arguments)
{
    *plan = (struct plan){
        .operations = {PLAN_READ, PLAN_GET, PLAN_MANY, PLAN_SET, PLAN_MIX},
        .operation_count = 5,
        .threads = {1},
        .threads_count = 1,
        .batch = 64,
        .keys = 1000000,
        .key_bytes = 32,
        .value_bytes = 100,
        .theta = 0.99,
        .seconds = 1,
        .warm_up = 0.2,
        .latency = 1,
        .rounds = 5,
        .tries = 1,
    };
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1)
        take(plan, option, optarg);
    if (optind < count)
        refuse("\"%s\" is no option", arguments[optind]);
    if (plan->uri_count == 0 && plan->subject == NULL)
        refuse("no --uri given");
}

void plan_clean_up(struct plan *plan)
{
    for (unsigned i = 0; i < plan->uri_count; i++)
        free(plan->uris[i]);
}

const char *plan_operation_name(unsigned operation)
{
    return operation_names[operation];
}

enum plan_peer plan_peer_of(const char *uri)
{
    unsigned peer = 0;
    for (; peer < PLAN_PEERS; peer++) {
        size_t length = strlen(peer_schemes[peer]);
        if (strncmp(uri, peer_schemes[peer], length) == 0 && uri[length] == ':')
            break;
    }
    return (enum plan_peer)peer;
}

const char *plan_peer_program(enum plan_peer peer)
{
    return peer_programs[peer];
}

unsigned plan_threads_most(const struct plan *plan)
{
    unsigned most = 1;
    for (unsigned i = 0; i < plan->threads_count; i++)
        if (plan->threads[i] > most)
            most = plan->threads[i];
    return most;
}

void plan_pin(const struct plan *plan, int number)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (unsigned i = 0; i < plan->core_count; i++)
        if (number < 0 || (unsigned)number % plan->core_count == i)
            CPU_SET(plan->cores[i], &cores);
    if (plan->core_count > 0 && sched_setaffinity(0, sizeof(cores), &cores) != 0)
        refuse("cannot pin to these cores: %s", strerror(errno));
}
