/*
 * larder-bench: how fast caches are, seen through the public calls.
 *
 * Rounds over all URIs in turn, each URI in a process of its own (child.c), which measures with
 * measure.c and prints its figures; here they are collected, summed up and reported.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "measure.h"
#include "memcached_server.h"
#include "report.h"
#include "results.h"

#define SERVER "@server"
#define QUIET 0.04 /* a run is disturbed when others took a larger share of the cores */

static int wants_server(const struct plan *plan)
{
    for (unsigned i = 0; i < plan->uri_count; i++)
        if (strstr(plan->uris[i], SERVER) != NULL)
            return 1;
    return 0;
}

/* The URI with the server's address where it says @server. */
static char *uri_with(const char *uri, const char *address)
{
    char *with = NULL;
    const char *mark = strstr(uri, SERVER);
    int length = mark == NULL ? asprintf(&with, "%s", uri)
                              : asprintf(&with, "%.*s//%s%s", (int)(mark - uri), uri, address,
                                         mark + strlen(SERVER));
    return length < 0 ? NULL : with;
}

static struct memcached_server *start_server(const struct plan *plan)
{
    char threads[16];
    const char *const arguments[] = {"-m", "4096", "-U", "0", "-t", threads, NULL};
    snprintf(threads, sizeof(threads), "%u", plan->core_count > 0 ? plan->core_count : 2);
    plan_pin(plan, -1); /* the server and the measuring processes inherit it */
    if (!wants_server(plan))
        return NULL;
    return plan->tcp ? memcached_server_start_tcp(arguments) : memcached_server_start(arguments);
}

/* Other programs come and go: of several tries the least disturbed counts. */
static int measure_quietly(struct results *results, struct subject *subject, unsigned round,
                           char **arguments, pid_t server)
{
    if (strstr(subject->name, SERVER) == NULL)
        server = 0;
    if (!child_measure(results, subject, round, arguments, server))
        return 0;
    unsigned spare = RESULTS_SPARE(results->plan);
    for (unsigned i = 1; i < results->plan->tries && subject->others[round] > QUIET; i++) {
        if (!child_measure(results, subject, spare, arguments, server))
            return 0;
        if (subject->others[spare] < subject->others[round])
            results_take_spare(results, subject, round);
    }
    return 1;
}

static int run_rounds(struct results *results, char **arguments, pid_t server)
{
    const struct plan *plan = results->plan;
    for (unsigned round = 0; round < plan->rounds; round++)
        for (unsigned i = 0; i < plan->uri_count; i++) {
            struct subject *subject = &results->subjects[i];
            if (!measure_quietly(results, subject, round, arguments, server))
                return 0;
            fprintf(stderr, "round %u of %u: %s: others %.1f %%\n", round + 1, plan->rounds,
                    subject->name, subject->others[round] * 100);
        }
    return 1;
}

static int write_json(const struct results *results)
{
    FILE *file = fopen(results->plan->json, "w");
    if (file != NULL)
        report_json(results, file);
    if (file != NULL && fclose(file) == 0)
        return 1;
    perror(results->plan->json);
    return 0;
}

static int report(const struct results *results)
{
    report_table(results, stdout);
    return results->plan->json == NULL || write_json(results);
}

static int any_failure(const struct results *results)
{
    const struct plan *plan = results->plan;
    for (unsigned i = 0; i < plan->uri_count; i++)
        for (unsigned cell = 0; cell < results->cell_count; cell++)
            if (summary_of(results->subjects[i].cells[cell].rounds[FIGURE_FAILURES], plan->rounds)
                    .most > 0)
                return 1;
    return 0;
}

static int name_subjects(struct results *results, const struct memcached_server *server)
{
    char address[128] = "";
    if (server != NULL && results->plan->tcp)
        snprintf(address, sizeof(address), "127.0.0.1:%u/", memcached_server_tcp_port(server));
    else if (server != NULL)
        snprintf(address, sizeof(address), "%s", memcached_server_path(server));
    for (unsigned i = 0; i < results->plan->uri_count; i++)
        if ((results->subjects[i].uri = uri_with(results->plan->uris[i], address)) == NULL)
            return 0;
    return 1;
}

static int measure_all(const struct plan *plan, char **arguments)
{
    struct results results;
    struct memcached_server *server = start_server(plan);
    pid_t pid = server != NULL ? memcached_server_pid(server) : 0;
    int right = results_init(&results, plan) && name_subjects(&results, server) &&
                run_rounds(&results, arguments, pid) && report(&results) && !any_failure(&results);
    memcached_server_stop(server);
    results_clean_up(&results);
    return right;
}

int main(int count, char **arguments)
{
    struct plan plan;
    plan_read(&plan, count, arguments);
    int status = plan.subject != NULL ? measure(&plan) : !measure_all(&plan, arguments);
    plan_clean_up(&plan);
    return status;
}
