/* What an exchange with a server came to: judged, counted, told to the mark-down and to whoever
 * traces. */
#include "meta.h"

#include <larder/util/deadline.h>

/* ---- judging ------------------------------------------------------------------------------- */

static const char *sentence_of(enum larder_meta_failure failure)
{
    static const char *const sentences[] = {
#define FAILURE_SENTENCE(name, text, sentence) sentence,
        LARDER_META_FAILURE_TABLE(FAILURE_SENTENCE)
#undef FAILURE_SENTENCE
    };
    return sentences[failure];
}

/* An alert or a handshake record, where a reply was due. Source: RFC 8446, 5.1. */
static int speaks_tls(const struct connection *connection)
{
    const unsigned char *bytes = (const unsigned char *)connection->input + connection->start;
    return connection->tls == NULL && connection->end - connection->start >= 3 &&
           (bytes[0] == 0x15 || bytes[0] == 0x16) && bytes[1] == 3 && bytes[2] <= 4;
}

static enum larder_meta_failure judge_broken(const struct connection *connection, const char **why)
{
    enum larder_meta_failure failure;
    const char *text = connection->tls != NULL ? meta_tls_failure(connection->tls, &failure) : NULL;
    if (text != NULL) {
        *why = text;
        return failure;
    }
    if (!speaks_tls(connection))
        return LARDER_META_FAILURE_PROTOCOL;
    *why = "it speaks TLS: write tls=on";
    return LARDER_META_FAILURE_TLS;
}

static enum larder_meta_failure failure_of(const struct line *line, enum connection_step step,
                                           const struct exchange *exchange, const char **why)
{
    const struct connection *connection = &line->member->connection;
    if (exchange->cause == LARDER_META_TOO_MANY_CONNECTIONS)
        return LARDER_META_FAILURE_FULL;
    if (exchange->cause == LARDER_META_UNAUTHENTICATED)
        return LARDER_META_FAILURE_LOGIN;
    if (step == STEP_MEMORY)
        return LARDER_META_FAILURE_MEMORY;
    if (step == STEP_CLOSED)
        return line->fresh ? LARDER_META_FAILURE_REFUSED : LARDER_META_FAILURE_CLOSED;
    if (step == STEP_BROKEN)
        return judge_broken(connection, why);
    int opening = connection->descriptor < 0 || connection->connecting != STAGE_READY;
    return opening ? LARDER_META_FAILURE_CONNECT_TIMEOUT : LARDER_META_FAILURE_TIMEOUT;
}

static void judge_failure(const struct line *line, enum connection_step step,
                          const struct exchange *exchange, struct outcome *outcome)
{
    outcome->why = NULL;
    outcome->failure = failure_of(line, step, exchange, &outcome->why);
    if (outcome->why == NULL)
        outcome->why = sentence_of(outcome->failure);
}

static uint32_t flags_of_fresh(const struct connection *connection, int answered)
{
    int resumed = answered && connection->tls != NULL && meta_tls_is_resumed(connection->tls);
    return LARDER_META_DIALLED | (resumed ? LARDER_META_RESUMED : 0);
}

/* ---- counting ------------------------------------------------------------------------------ */

static unsigned bucket_of(uint64_t took_ns)
{
    uint64_t microseconds = took_ns / 1000;
    unsigned bucket = microseconds == 0 ? 0
                                        : (unsigned)(8 * sizeof(long long)) -
                                              (unsigned)__builtin_clzll(microseconds);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static void count(const struct line *line, const struct outcome *outcome)
{
    const struct connection *connection = &line->member->connection;
    struct site *site = line->site;
    if (outcome->quiet)
        return;
    _Atomic uint64_t *exchanges = outcome->answered ? &site->latency[bucket_of(outcome->took_ns)]
                                                    : &site->failed[outcome->failure];
    atomic_fetch_add_explicit(exchanges, 1, memory_order_relaxed);
    if (!outcome->answered && (connection->descriptor < 0 || connection->connecting != STAGE_READY))
        SITE_COUNT(site, dials_failed);
    if ((outcome->flags & LARDER_META_RESUMED) != 0)
        SITE_COUNT(site, tls_resumed);
}

/* ---- the mark-down ------------------------------------------------------------------------- */

/* A call that had little time left for the server, as after a wait for the pool, proves nothing. */
static int had_time(const struct call *call, const struct line *line)
{
    return line->granted_ns / 1000000 >= call->meta->timeout_ms / 2;
}

/* Nobody gets in: no use to try again at once. */
static int is_refusal(enum larder_meta_failure failure)
{
    return failure == LARDER_META_FAILURE_REFUSED || failure == LARDER_META_FAILURE_FULL ||
           failure == LARDER_META_FAILURE_TLS || failure == LARDER_META_FAILURE_CERTIFICATE ||
           failure == LARDER_META_FAILURE_LOGIN;
}

static int proves_nothing(enum larder_meta_failure failure)
{
    return failure == LARDER_META_FAILURE_MEMORY || failure == LARDER_META_FAILURE_CLOSED ||
           failure == LARDER_META_FAILURE_FULL;
}

static void report_failure(const struct call *call, const struct line *line,
                           struct outcome *outcome)
{
    const uint64_t now_ns = call->now_ns;
    struct site *site = line->site;
    enum larder_meta_failure failure = outcome->failure;
    if (is_refusal(failure) && line->fresh)
        outcome->marked = larder_markdown_failure(&site->markdown, line->ticket, now_ns);
    else if (!proves_nothing(failure) && had_time(call, line))
        outcome->marked = larder_markdown_timeout(&site->markdown, line->ticket, now_ns);
    else
        larder_markdown_abandon(&site->markdown, line->ticket, now_ns);
    /* A connection that was idle may have been closed by a restart or an idle timeout: no sign that
     * the server is down now, but every other idle connection is in doubt. */
    if (outcome->marked || failure == LARDER_META_FAILURE_REFUSED ||
        failure == LARDER_META_FAILURE_CLOSED || failure == LARDER_META_FAILURE_FULL)
        meta_site_renew(site);
}

static void report(const struct call *call, const struct line *line, struct outcome *outcome)
{
    if (!outcome->answered) {
        report_failure(call, line, outcome);
    } else if (outcome->quiet) {
        larder_markdown_abandon(&line->site->markdown, line->ticket, call->now_ns);
    } else {
        larder_markdown_success(&line->site->markdown, line->ticket);
        outcome->recovered = line->ticket != 0;
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

void meta_outcome_take(const struct call *call, const struct line *line, enum connection_step step,
                       const struct exchange *exchange, struct outcome *outcome)
{
    const struct connection *connection = &line->member->connection;
    *outcome = (struct outcome){.answered = step == STEP_OVER, .why = ""};
    outcome->quiet = outcome->answered && connection->owed;
    outcome->took_ns = call->now_ns - line->began_ns;
    if (!outcome->answered)
        judge_failure(line, step, exchange, outcome);
    if (line->fresh)
        outcome->flags = flags_of_fresh(connection, outcome->answered);
    count(line, outcome);
    report(call, line, outcome);
}

/* ---- tracing ------------------------------------------------------------------------------- */

static void tell(const struct meta *meta, const struct site *site, const struct outcome *outcome,
                 enum larder_meta_happening what)
{
    const struct larder_meta_event event = {.size = sizeof(event),
                                            .what = what,
                                            .host = site->server.host,
                                            .port = site->server.port,
                                            .flags = outcome->flags,
                                            .took_ns = outcome->took_ns,
                                            .failure = outcome->failure,
                                            .why = outcome->why};
    meta->trace(meta->trace_context, &event);
}

void meta_outcome_tell(struct call *call, const struct site *site, const struct outcome *outcome)
{
    const struct meta *meta = call->meta;
    tell(meta, site, outcome, outcome->answered ? LARDER_META_ANSWERED : LARDER_META_FAILED);
    if (outcome->marked)
        tell(meta, site, outcome, LARDER_META_MARKED_DOWN);
    if (outcome->recovered)
        tell(meta, site, outcome, LARDER_META_BACK);
    call->now_ns = larder_monotonic_ns(); /* whoever traces takes his time */
}
