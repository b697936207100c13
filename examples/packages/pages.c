/*
 * How a page that is rendered while an edit runs never stays in the cache. The one order is
 *
 *   render:  take a ticket · read the database, and the number of the last edit, in one state of it
 *            · wire the key to every package shown · look which packages were edited since
 *            · if none that is shown: store with the ticket
 *   edit:    write the database · drop the package's pages, which voids their tickets · answer
 *
 * If the edit's write came before the second look, that finds it and nothing is stored. If it came
 * later, the wires were there before its drop, which deletes the page or voids the ticket.
 */
#include "pages.h"

#include <inttypes.h>
#include <stdio.h>

#include "progress.h"
#include "ticket.h"
#include "wires.h"

#include <larder/traits.h>

#define PAGE_TTL_MS (10 * 60 * 1000)
#define FRONT_TTL_MS 10000 /* its totals are nobody's to drop */
#define STORE_MS 2000
#define DROP_MS 10000
#define FLUSH_PAUSE_NS UINT64_C(500000000)

/* "search/" + name + "/" + number */
#define PAGE_KEY_MAX (PACKAGE_NAME_MAX + 32)

/* The caller's 32 bits of an entry: TICKET_PLACEHOLDER, 7 bits of questions, 24 of microseconds. */
#define QUESTIONS_MAX 127u
#define MICROSECONDS_MAX 0xffffffu

static uint32_t cost_flags(const struct served *served)
{
    uint32_t questions = served->questions < QUESTIONS_MAX ? served->questions : QUESTIONS_MAX;
    uint32_t time = served->render_us < MICROSECONDS_MAX ? served->render_us : MICROSECONDS_MAX;
    return questions << 24 | time;
}

static struct larder_slice page_key(const struct page_address *address, char key[PAGE_KEY_MAX])
{
    static const char *const kinds[] = {
        [PAGE_FRONT] = "front", [PAGE_PACKAGE] = "package", [PAGE_SEARCH] = "search"};
    int length = snprintf(key, PAGE_KEY_MAX, "%s/%s/%" PRId64, kinds[address->kind], address->name,
                          address->from);
    return larder_bytes(key, (size_t)length);
}

static uint32_t microseconds_since(uint64_t begun_ns)
{
    uint64_t passed = (monotonic_ns() - begun_ns) / 1000;
    return passed < UINT32_MAX ? (uint32_t)passed : UINT32_MAX;
}

void pages_init(struct pages *pages, struct larder_cache *cache)
{
    *pages = (struct pages){
        .cache = cache,
        .keeps_nothing = (larder_describe(cache)->promises & LARDER_KEEPS_NOTHING) != 0,
    };
}

/* ---- suspicion ----------------------------------------------------------------------------- */

/* A flush takes entry after entry. Whoever takes a ticket behind its back, and wires ahead of it,
 * would store a page whose wires are gone a moment later. A ticket that it still meets is void. So
 * it is enough to look for a flush once, after the ticket was taken: in the cache the ticket came
 * after the flush had passed there, hence after flushes_begun was raised. */
static bool a_flush_runs(struct pages *pages)
{
    uint64_t begun = atomic_load_explicit(&pages->flushes_begun, memory_order_acquire);
    return atomic_load_explicit(&pages->flushes_ended, memory_order_acquire) != begun;
}

static bool mend(struct pages *pages)
{
    uint64_t suspicions = atomic_load_explicit(&pages->suspicions, memory_order_acquire);
    atomic_fetch_add_explicit(&pages->flushes_begun, 1, memory_order_acq_rel);
    enum larder_status status = larder_flush(pages->cache);
    atomic_fetch_add_explicit(&pages->flushes_ended, 1, memory_order_acq_rel);
    if (status != LARDER_OK)
        return false;
    figure_add(&pages->figures.flushed, 1);
    /* An older flush that ends late may set this back: one flush more, never one too few. */
    atomic_store_explicit(&pages->mended, suspicions, memory_order_release);
    return true;
}

static bool cache_believed(struct pages *pages)
{
    if (atomic_load_explicit(&pages->suspicions, memory_order_acquire) ==
        atomic_load_explicit(&pages->mended, memory_order_acquire))
        return true;
    uint64_t now = monotonic_ns();
    uint64_t after = atomic_load_explicit(&pages->flush_after_ns, memory_order_relaxed);
    /* One thread tries, twice a second; the others go to the database meanwhile. */
    return now >= after &&
           atomic_compare_exchange_strong_explicit(&pages->flush_after_ns, &after,
                                                   now + FLUSH_PAUSE_NS, memory_order_relaxed,
                                                   memory_order_relaxed) &&
           mend(pages);
}

/* ---- serving ------------------------------------------------------------------------------- */

static bool read_page(struct pages *pages, struct larder_slice key, struct served *served)
{
    served->status = larder_get(pages->cache, key, &served->view);
    if (served->status != LARDER_OK)
        return false;
    if ((served->view.info.flags & TICKET_PLACEHOLDER) != 0) {
        larder_value_release(&served->view);
        served->status = LARDER_MISS;
        return false;
    }
    served->hit = true;
    served->result = PAGE_FOUND;
    served->body = served->view.bytes;
    served->questions = served->view.info.flags >> 24;
    served->render_us = served->view.info.flags & MICROSECONDS_MAX;
    figure_add(&pages->figures.hits, 1);
    figure_add(&pages->figures.questions_saved, served->questions);
    return true;
}

/* @return the number of the last edit that the page has seen */
static int64_t render(struct database *database, const struct page_address *address,
                      struct served *served)
{
    uint64_t begun = monotonic_ns();
    uint64_t asked = database_questions(database);
    database_begin(database);
    int64_t last_edit = database_last_edit(database);
    served->result = page_render(database, address, &served->page);
    database_end(database);
    served->body = larder_bytes(served->page.body.data, served->page.body.length);
    served->questions = (uint32_t)(database_questions(database) - asked);
    served->render_us = microseconds_since(begun);
    return last_edit;
}

static bool shows(const struct page *page, int64_t package)
{
    for (size_t i = 0; i < page->shown_count; i++)
        if (page->shown[i].id == package)
            return true;
    return false;
}

/* Whether nothing that the page shows was edited since it was rendered. */
static bool still_true(struct database *database, const struct page *page, int64_t last_edit)
{
    int64_t package;
    bool edited = false;
    database_begin(database);
    database_edits_after(database, last_edit);
    while (!edited && database_next_edit(database, &package))
        edited = shows(page, package);
    bool known = !database_failed(database);
    database_end(database);
    return known && !edited;
}

static enum larder_status wire_and_store(struct larder_cache *cache, struct database *database,
                                         struct larder_slice key, struct ticket *ticket,
                                         const struct larder_write *write, const struct page *page,
                                         int64_t last_edit)
{
    enum larder_status status = wires_add(cache, key, page);
    if (status != LARDER_OK)
        return status;
    if (!still_true(database, page, last_edit))
        return LARDER_CONFLICT;
    return ticket_store(cache, key, ticket, write);
}

/* A page that shows a hundred packages takes some three hundred calls: one session for all of them,
 * which is one connection where connections are pooled, and one deadline. */
static enum larder_status store(struct pages *pages, struct database *database,
                                struct larder_slice key, struct ticket *ticket,
                                const struct larder_write *write, const struct page *page,
                                int64_t last_edit)
{
    struct larder_cache *session;
    enum larder_status status = larder_acquire(pages->cache, STORE_MS, 0, &session);
    if (status != LARDER_OK)
        return status;
    status = wire_and_store(session, database, key, ticket, write, page, last_edit);
    larder_release(session);
    return status;
}

static void render_and_store(struct pages *pages, struct database *database,
                             const struct page_address *address, struct larder_slice key,
                             struct served *served)
{
    struct ticket ticket;
    served->status = ticket_take(pages->cache, key, &ticket);
    bool storable = !a_flush_runs(pages);
    int64_t last_edit = render(database, address, served);
    if (served->result == PAGE_FOUND && ticket.kind != TICKET_NONE && storable) {
        struct larder_write write =
            larder_write_of(served->body, address->kind == PAGE_FRONT ? FRONT_TTL_MS : PAGE_TTL_MS);
        write.flags = cost_flags(served);
        served->status = store(pages, database, key, &ticket, &write, &served->page, last_edit);
        served->stored = served->status == LARDER_OK && !pages->keeps_nothing;
        figure_add(&pages->figures.stored, served->stored);
    }
    ticket_return(pages->cache, key, &ticket);
}

void pages_serve(struct pages *pages, struct database *database, const struct page_address *address,
                 struct served *served)
{
    uint64_t begun = monotonic_ns();
    uint64_t asked = database_questions(database);
    char key_bytes[PAGE_KEY_MAX];
    struct larder_slice key = page_key(address, key_bytes);
    *served = (struct served){.status = LARDER_UNAVAILABLE};
    bool believed = cache_believed(pages);
    if (!believed || !read_page(pages, key, served)) {
        figure_add(&pages->figures.misses, 1);
        /* A read that failed is not followed by writes that would wait for the same server. */
        if (believed && served->status >= 0)
            render_and_store(pages, database, address, key, served);
        else
            render(database, address, served);
    }
    figure_add(&pages->figures.questions, database_questions(database) - asked);
    served->total_us = microseconds_since(begun);
}

void served_free(struct served *served)
{
    larder_value_release(&served->view);
    page_free(&served->page);
}

/* ---- dropping ------------------------------------------------------------------------------ */

struct dropped pages_drop(struct pages *pages, const char *package)
{
    struct wires_dropped wires = {0};
    struct dropped dropped = {0};
    struct larder_cache *session;
    dropped.status = larder_acquire(pages->cache, DROP_MS, 0, &session);
    if (dropped.status == LARDER_OK) {
        dropped.status = wires_drop(session, package, &wires);
        larder_release(session);
    }
    dropped.pages = wires.pages;
    dropped.suspected = dropped.status != LARDER_OK || wires.lost > 0;
    if (dropped.suspected) {
        /* Before the suspicion, so that whoever sees that leaves the flush to this thread. */
        atomic_store_explicit(&pages->flush_after_ns, monotonic_ns() + FLUSH_PAUSE_NS,
                              memory_order_relaxed);
        atomic_fetch_add_explicit(&pages->suspicions, 1, memory_order_acq_rel);
        dropped.flushed = mend(pages);
    }
    figure_add(&pages->figures.edits, 1);
    figure_add(&pages->figures.dropped, dropped.pages);
    return dropped;
}
