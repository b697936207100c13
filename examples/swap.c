/*
 * One program, any cache: example-swap FILE. It remembers squares in the namespace "squares" and
 * counts in "counters"; which caches those are is the file's business alone. larder.conf beside
 * this file is one to start from: change its [namespaces], and run the same binary again.
 */
#include <larder/larder.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void complain(const char *what, enum larder_status status)
{
    fprintf(stderr, "%s: %s, %s\n", what, larder_status_name(status),
            larder_status_sentence(status));
}

/* The cached answer, or the computed one: a cache that fails costs time, not results. */
static uint64_t square(struct larder_cache *squares, uint64_t number, int *hit)
{
    uint64_t result;
    struct larder_slice key = larder_bytes(&number, sizeof(number));
    *hit = larder_read(squares, key, &result, sizeof(result), NULL) == LARDER_OK;
    if (*hit)
        return result;
    result = number * number;
    enum larder_status status =
        larder_set(squares, key, larder_bytes(&result, sizeof(result)), LARDER_TTL_DEFAULT);
    if (status < 0)
        complain("set", status);
    return result;
}

static int work(struct larder_cache *squares, struct larder_cache *counters)
{
    unsigned wrong = 0, hits = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int hit = 0;
        if (square(squares, i % 50, &hit) != (i % 50) * (i % 50))
            wrong++;
        hits += (unsigned)hit;
    }
    uint64_t runs = 0;
    const struct larder_initial from_zero = {.value = 0, .ttl_ms = LARDER_TTL_FOREVER};
    enum larder_status status = larder_incr(counters, larder_text("runs"), 1, &from_zero, &runs);
    printf("200 squares, %u wrong, %u from the cache; run number %" PRIu64 " (%s)\n", wrong, hits,
           runs, larder_status_name(status));
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int count, char **arguments)
{
    struct larder_cache *client, *squares, *counters;
    char message[512] = "";
    if (count != 2) {
        fputs("Usage: example-swap FILE\n", stderr);
        return EXIT_FAILURE;
    }
    enum larder_status status =
        larder_open_file(arguments[1], NULL, &client, message, sizeof(message));
    if (status != LARDER_OK) {
        fprintf(stderr, "%s\n", message[0] != '\0' ? message : larder_status_sentence(status));
        return EXIT_FAILURE;
    }
    int result = EXIT_FAILURE;
    if (larder_bind(client, "squares", &squares) == LARDER_OK &&
        larder_bind(client, "counters", &counters) == LARDER_OK)
        result = work(squares, counters);
    else
        fputs("the file maps no squares, or no counters, and has no line for *\n", stderr);
    larder_close(client);
    return result;
}
