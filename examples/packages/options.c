/* Reading the command line. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 256
#define SECONDS_MAX 3600
#define SAMPLE_MAX 1000000

static const char help[] =
    "Usage: packages [OPTION]...\n"
    "Serve this machine's Debian package index as a web site, through a cache.\n"
    "\n"
    "  -c, --cache URI       the cache, as memory:?max_bytes=256M, null: or\n"
    "                        pooled-memcached:///run/memcached.sock (default memory:, 256 MiB)\n"
    "  -C, --config FILE     a configuration file whose [namespaces] map pages and views\n"
    "  -p, --port NUMBER     where to serve (default 8080; 0: any free port)\n"
    "  -e, --everywhere      serve on every interface, not only on loopback; whoever\n"
    "                        reaches it may edit\n"
    "  -t, --threads NUMBER  of the server (default: one per processor, at least 2)\n"
    "  -d, --database FILE   the SQLite database; built first if it is not there\n"
    "                        (default packages.db in ~/.cache/larder)\n"
    "  -P, --packages FILE   build it from a file in the format of Packages files\n"
    "                        (default: what `apt-cache dumpavail` prints)\n"
    "\n"
    "  -D, --demo            load the site over null:, memory: and pooled-memcached: in\n"
    "                        turn, or over the cache given, and print a table; it works\n"
    "                        on a copy of the database\n"
    "  -s, --seconds NUMBER  of load for each cache (default 4)\n"
    "\n"
    "  -S, --sample NUMBER   print a made-up index of so many packages, and exit\n"
    "  -h, --help            print this, and exit\n";

static const struct option long_options[] = {
    {"cache", required_argument, NULL, 'c'},    {"config", required_argument, NULL, 'C'},
    {"port", required_argument, NULL, 'p'},     {"everywhere", no_argument, NULL, 'e'},
    {"threads", required_argument, NULL, 't'},  {"database", required_argument, NULL, 'd'},
    {"packages", required_argument, NULL, 'P'}, {"demo", no_argument, NULL, 'D'},
    {"seconds", required_argument, NULL, 's'},  {"sample", required_argument, NULL, 'S'},
    {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0},
};

static bool parse_number(const char *text, const char *option, unsigned smallest, unsigned largest,
                         unsigned *number)
{
    char *end = NULL;
    unsigned long parsed = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || parsed < smallest || parsed > largest) {
        fprintf(stderr, "packages: --%s takes a number from %u to %u, not \"%s\"\n", option,
                smallest, largest, text);
        return false;
    }
    *number = (unsigned)parsed;
    return true;
}

static bool take_option(struct options *options, int letter)
{
    switch (letter) {
    case 'c':
        options->cache = optarg;
        return true;
    case 'C':
        options->config = optarg;
        return true;
    case 'd':
        options->database = optarg;
        return true;
    case 'P':
        options->packages = optarg;
        return true;
    case 'e':
        options->everywhere = true;
        return true;
    case 'D':
        options->demo = true;
        return true;
    case 'p':
        return parse_number(optarg, "port", 0, 65535, &options->port);
    case 't':
        return parse_number(optarg, "threads", 2, THREADS_MAX, &options->threads);
    case 's':
        return parse_number(optarg, "seconds", 1, SECONDS_MAX, &options->seconds);
    case 'S':
        return parse_number(optarg, "sample", 1, SAMPLE_MAX, &options->sample);
    default:
        fputs("Try: packages --help\n", stderr);
        return false;
    }
}

static unsigned processors(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 2 ? 2 : online > THREADS_MAX ? THREADS_MAX : (unsigned)online;
}

int options_parse(struct options *options, int count, char **arguments)
{
    *options = (struct options){.port = 8080, .threads = processors(), .seconds = 4};
    int letter;
    while ((letter = getopt_long(count, arguments, "c:C:p:et:d:P:Ds:S:h", long_options, NULL)) !=
           -1) {
        if (letter == 'h') {
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        if (!take_option(options, letter))
            return EXIT_FAILURE;
    }
    if (optind < count) {
        fprintf(stderr, "packages: \"%s\" is no option; try: packages --help\n", arguments[optind]);
        return EXIT_FAILURE;
    }
    if (options->cache != NULL && options->config != NULL) {
        fputs("packages: --cache and --config exclude each other\n", stderr);
        return EXIT_FAILURE;
    }
    return -1;
}
