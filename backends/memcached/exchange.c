/* One exchange with one server: mark-down, client, connection, question, verdict. */
#include "edge.h"

#include <larder/util/deadline.h>

/* ---- the call ------------------------------------------------------------------------------ */

/* A session that holds a client of ours is inside until its end, also when nobody else gets in. */
static int session_is_inside(const struct edge *edge, const struct larder_session *session)
{
    return session != NULL && session->owner == edge && session->member != NULL;
}

enum larder_status call_begin(struct call *call, const struct larder_scope *scope)
{
    struct edge *edge = scope->self;
    *call = (struct call){.edge = edge, .scope = scope};
    if (larder_scope_no_wait(scope))
        return LARDER_WOULD_BLOCK;
    if (!session_is_inside(edge, scope->session)) {
        call->entered = edge_enter(edge);
        if (!call->entered)
            return LARDER_CLOSED;
    }
    call->deadline_ns = larder_scope_deadline(scope, edge->config->timeout_ms);
    return LARDER_OK;
}

void call_end(struct call *call)
{
    if (call->client != NULL && !call->held)
        call->edge->lender.give_back(call->edge->lender.context, call->client);
    call->client = NULL;
    if (call->entered)
        edge_leave(call->edge);
    call->entered = 0;
}

enum larder_status call_borrow(struct call *call)
{
    const struct larder_session *session = call->scope->session;
    const struct lender *lender = &call->edge->lender;
    if (call->client != NULL)
        return LARDER_OK;
    if (session_is_inside(call->edge, session)) {
        call->client = session->member;
        call->held = 1;
    } else {
        enum larder_status status =
            lender->borrow(lender->context, call->deadline_ns, &call->client);
        if (status != LARDER_OK)
            return status;
        call->client->link_lost = 0;
    }
    client_leave_inherited(call->edge, call->client);
    return LARDER_OK;
}

uint32_t edge_placed(const struct larder_scope *scope, struct larder_slice key)
{
    struct edge *edge = scope->self;
    struct larder_wire_key wire;
    uint32_t site = 0;
    int is_inside = session_is_inside(edge, scope->session);
    if (larder_key_encode(key, scope->flags, &wire) != LARDER_OK)
        return 0;
    if (!is_inside && !edge_enter(edge))
        return 0; /* the call that wants to know will be CLOSED */
    site = edge_place(edge, scope, key, wire.bytes);
    if (!is_inside)
        edge_leave(edge);
    return site;
}

enum larder_status call_target(const struct call *call, struct larder_slice key,
                               struct target *target)
{
    const struct larder_scope *scope = call->scope;
    if (scope->server > call->edge->site_count)
        return LARDER_BAD_ARGUMENT;
    enum larder_status status = larder_key_encode(key, scope->flags, &target->wire);
    if (status == LARDER_OK)
        target->site = edge_place(call->edge, scope, key, target->wire.bytes);
    return status;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Everybody's idle connections to the site are replaced, and its limits asked for, before use. */
static void site_renew(struct site *site)
{
    atomic_fetch_add_explicit(&site->epoch, 1, memory_order_relaxed);
    atomic_store_explicit(&site->item_max, 0, memory_order_relaxed);
    if (site->name != NULL)
        larder_name_refresh(site->name);
}

/* A call that had little time left for the server, as after a wait for the pool, proves nothing. */
static int had_time(const struct call *call, const struct line *line)
{
    return line->granted_ms >= call->edge->config->timeout_ms / 2;
}

static void report_failure(const struct call *call, const struct line *line, enum fate fate)
{
    struct site *site = &call->edge->sites[line->site];
    uint64_t now_ns = larder_monotonic_ns();
    int marked = 0;
    if (fate == FATE_CLOSED)
        marked = larder_markdown_failure(&site->markdown, line->ticket, now_ns);
    else if (had_time(call, line))
        marked = larder_markdown_timeout(&site->markdown, line->ticket, now_ns);
    else
        larder_markdown_abandon(&site->markdown, line->ticket, now_ns);
    if (marked || fate == FATE_CLOSED)
        site_renew(site);
}

static void report_dial(const struct call *call, const struct line *line, enum larder_status status)
{
    if (status == LARDER_NO_MEMORY)
        larder_markdown_abandon(&call->edge->sites[line->site].markdown, line->ticket,
                                larder_monotonic_ns());
    else
        report_failure(call, line, status == LARDER_UNAVAILABLE ? FATE_CLOSED : FATE_TIMEOUT);
}

/* @return UNAVAILABLE when the site is down and somebody else's turn to probe */
static enum larder_status line_ask(struct call *call, struct line *line)
{
    struct larder_markdown *markdown = &call->edge->sites[line->site].markdown;
    line->ticket = 0;
    if (larder_markdown_is_up(markdown))
        return LARDER_OK;
    if (larder_markdown_ask(markdown, larder_monotonic_ns(), &line->ticket) != LARDER_MARKDOWN_DOWN)
        return LARDER_OK;
    EDGE_COUNT(call->edge, refused_down);
    return LARDER_UNAVAILABLE;
}

static int link_current(const struct call *call, uint32_t site)
{
    const struct link *link = &call->client->links[site];
    return link->handle != NULL &&
           link->epoch ==
               atomic_load_explicit(&call->edge->sites[site].epoch, memory_order_relaxed);
}

int call_connected(const struct call *call, uint32_t site)
{
    return call->client != NULL && larder_markdown_is_up(&call->edge->sites[site].markdown) &&
           link_current(call, site);
}

/* A prober always dials: then a failed probe has written nothing. */
static void drop_if_stale(struct call *call, const struct line *line)
{
    if (line->link->handle == NULL || (line->ticket == 0 && link_current(call, line->site)))
        return;
    link_drop(call->edge, call->client, line->site);
    EDGE_COUNT(call->edge, links_replaced);
}

static enum larder_status line_connect(struct call *call, struct line *line)
{
    enum larder_status status = call_borrow(call);
    line->granted_ms = larder_deadline_left_ms(call->deadline_ns);
    if (status == LARDER_OK && line->granted_ms == 0)
        status = LARDER_TIMEOUT;
    if (status != LARDER_OK) { /* nobody spoke to the server */
        larder_markdown_abandon(&call->edge->sites[line->site].markdown, line->ticket,
                                larder_monotonic_ns());
        return status;
    }
    line->link = &call->client->links[line->site];
    drop_if_stale(call, line);
    if (line->link->handle == NULL) {
        status = link_dial(call->edge, call->client, line->site, call->deadline_ns);
        if (status != LARDER_OK)
            report_dial(call, line, status);
    }
    return status;
}

enum larder_status line_open(struct call *call, uint32_t site, struct line *line)
{
    line->site = site;
    enum larder_status status = line_ask(call, line);
    if (status == LARDER_OK)
        status = line_connect(call, line);
    if (status != LARDER_OK)
        return status;
    line->fresh = !line->link->used;
    if (link_set_deadline(line->link, call->deadline_ns))
        return LARDER_OK;
    /* Connecting took it all, and succeeded. */
    line_close(call, line, FATE_CLEAN);
    return LARDER_TIMEOUT;
}

static void count_fate(struct edge *edge, enum fate fate)
{
    if (fate == FATE_TIMEOUT)
        EDGE_COUNT(edge, timeouts);
    else if (fate == FATE_CLOSED)
        EDGE_COUNT(edge, closed);
    else if (fate == FATE_PROTOCOL)
        EDGE_COUNT(edge, protocol_errors);
    EDGE_COUNT(edge, links_replaced);
}

void line_close(struct call *call, const struct line *line, enum fate fate)
{
    struct site *site = &call->edge->sites[line->site];
    if (fate == FATE_CLEAN) {
        line->link->used = 1;
        larder_markdown_success(&site->markdown, line->ticket);
        return;
    }
    link_drop(call->edge, call->client, line->site);
    call->client->link_lost++;
    count_fate(call->edge, fate);
    if (fate == FATE_REFUSED) { /* the server is well */
        larder_markdown_success(&site->markdown, line->ticket);
        return;
    }
    /* A connection that was idle may have been closed by a restart or an idle timeout: no sign that
     * the server is down now, but every other idle connection is in doubt. */
    if (fate == FATE_CLOSED && !line->fresh)
        site_renew(site);
    else
        report_failure(call, line, fate);
}

int line_may_repeat(const struct call *call, const struct line *line, enum fate fate)
{
    return fate == FATE_CLOSED && !line->fresh && larder_deadline_left_ms(call->deadline_ns) > 0;
}

/* ---- conversations ------------------------------------------------------------------------- */

enum larder_status read_failure(enum fate fate)
{
    if (fate == FATE_TIMEOUT)
        return LARDER_TIMEOUT;
    return fate == FATE_CLOSED ? LARDER_UNAVAILABLE : LARDER_PROTOCOL;
}

enum larder_status converse(struct call *call, uint32_t site, struct talk *talk)
{
    for (;;) {
        struct line line;
        enum larder_status status = line_open(call, site, &line);
        if (status != LARDER_OK)
            return status;
        enum fate fate = talk->run(line.link, talk);
        line_close(call, &line, fate);
        if (fate == FATE_CLEAN || fate == FATE_REFUSED)
            return talk->status;
        if (!talk->is_read)
            return LARDER_UNKNOWN;
        if (!line_may_repeat(call, &line, fate))
            return read_failure(fate);
        EDGE_COUNT(call->edge, reads_repeated);
    }
}
