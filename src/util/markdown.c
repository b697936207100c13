/* Whether a server is up. */
#include <larder/util/markdown.h>

#define NS_PER_MS UINT64_C(1000000)

enum larder_status larder_markdown_init(struct larder_markdown *markdown, uint64_t period_ms,
                                        uint64_t claim_ms)
{
    *markdown = (struct larder_markdown){.period_ns = period_ms * NS_PER_MS,
                                         .claim_ns = claim_ms * NS_PER_MS};
    return pthread_mutex_init(&markdown->mutex, NULL) == 0 ? LARDER_OK : LARDER_NO_MEMORY;
}

void larder_markdown_clean_up(struct larder_markdown *markdown)
{
    pthread_mutex_destroy(&markdown->mutex);
}

static uint32_t state_of(struct larder_markdown *markdown)
{
    return atomic_load_explicit(&markdown->state, memory_order_relaxed);
}

static void set_state_locked(struct larder_markdown *markdown, enum larder_markdown_state state)
{
    atomic_store_explicit(&markdown->state, state, memory_order_relaxed);
}

/* A prober of the older one reports to that one: here the next is chosen after a period at most. */
void larder_markdown_follow(struct larder_markdown *markdown, struct larder_markdown *older,
                            uint64_t now_ns)
{
    pthread_mutex_lock(&older->mutex);
    set_state_locked(markdown, state_of(older));
    markdown->guarded.timeouts = older->guarded.timeouts;
    markdown->guarded.markdowns = older->guarded.markdowns;
    markdown->guarded.probes = older->guarded.probes;
    markdown->guarded.due_ns = older->guarded.due_ns;
    pthread_mutex_unlock(&older->mutex);
    if (markdown->guarded.due_ns > now_ns + markdown->period_ns)
        markdown->guarded.due_ns = now_ns + markdown->period_ns;
}

enum larder_markdown_answer larder_markdown_ask(struct larder_markdown *markdown, uint64_t now_ns,
                                                uint64_t *ticket)
{
    enum larder_markdown_answer answer = LARDER_MARKDOWN_UP;
    *ticket = 0;
    pthread_mutex_lock(&markdown->mutex);
    if (state_of(markdown) == LARDER_MARKDOWN_STATE_DOWN) {
        answer = LARDER_MARKDOWN_DOWN;
        if (now_ns >= markdown->guarded.due_ns) {
            answer = LARDER_MARKDOWN_PROBE;
            *ticket = ++markdown->guarded.ticket;
            markdown->guarded.probes++;
            markdown->guarded.due_ns = now_ns + markdown->claim_ns;
        }
    }
    pthread_mutex_unlock(&markdown->mutex);
    return answer;
}

/* While the server is down only a prober's success counts: any other call began before it went. */
void larder_markdown_success(struct larder_markdown *markdown, uint64_t ticket)
{
    if (state_of(markdown) == LARDER_MARKDOWN_STATE_UP)
        return;
    pthread_mutex_lock(&markdown->mutex);
    if (state_of(markdown) != LARDER_MARKDOWN_STATE_DOWN || ticket != 0) {
        markdown->guarded.timeouts = 0;
        set_state_locked(markdown, LARDER_MARKDOWN_STATE_UP);
    }
    pthread_mutex_unlock(&markdown->mutex);
}

static int mark_down_locked(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns)
{
    int was_down = state_of(markdown) == LARDER_MARKDOWN_STATE_DOWN;
    /* Neither a call that began before the server went nor a late prober, whose claim went to
     * another one, puts the next probe off. */
    if (!was_down || (ticket != 0 && ticket == markdown->guarded.ticket))
        markdown->guarded.due_ns = now_ns + markdown->period_ns;
    if (was_down)
        return 0;
    markdown->guarded.timeouts = 0;
    markdown->guarded.markdowns++;
    set_state_locked(markdown, LARDER_MARKDOWN_STATE_DOWN);
    return 1;
}

int larder_markdown_timeout(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns)
{
    int marked = 0;
    pthread_mutex_lock(&markdown->mutex);
    if (state_of(markdown) == LARDER_MARKDOWN_STATE_DOWN ||
        ++markdown->guarded.timeouts >= LARDER_MARKDOWN_TIMEOUTS)
        marked = mark_down_locked(markdown, ticket, now_ns);
    else
        set_state_locked(markdown, LARDER_MARKDOWN_STATE_DOUBTED);
    pthread_mutex_unlock(&markdown->mutex);
    return marked;
}

int larder_markdown_failure(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns)
{
    pthread_mutex_lock(&markdown->mutex);
    int marked = mark_down_locked(markdown, ticket, now_ns);
    pthread_mutex_unlock(&markdown->mutex);
    return marked;
}

void larder_markdown_abandon(struct larder_markdown *markdown, uint64_t ticket, uint64_t now_ns)
{
    if (ticket == 0)
        return;
    pthread_mutex_lock(&markdown->mutex);
    if (ticket == markdown->guarded.ticket)
        markdown->guarded.due_ns = now_ns;
    pthread_mutex_unlock(&markdown->mutex);
}

void larder_markdown_read(struct larder_markdown *markdown, struct larder_markdown_figures *figures)
{
    pthread_mutex_lock(&markdown->mutex);
    figures->down = state_of(markdown) == LARDER_MARKDOWN_STATE_DOWN;
    figures->markdowns = markdown->guarded.markdowns;
    figures->probes = markdown->guarded.probes;
    pthread_mutex_unlock(&markdown->mutex);
}

void larder_markdown_fork(struct larder_markdown *markdown, enum larder_fork_step step)
{
    if (step == LARDER_FORK_PREPARE)
        pthread_mutex_lock(&markdown->mutex);
    else /* the child's thread is the one that locked it */
        pthread_mutex_unlock(&markdown->mutex);
}
