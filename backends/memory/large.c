/* Blocks for large values. */
#include "large.h"

#include <stdlib.h>

#define EXACT_CLASSES 16u /* runs of up to so many pages have a class of their own length */
#define STEPS 8u          /* classes per doubling above */
#define COMMIT_PAGES 1024u

/* ---- classes of runs ------------------------------------------------------------------------ */

/* 16 exact ones, then 8 a doubling: at most an eighth of the addresses is not used. */
static uint32_t class_of(uint64_t pages)
{
    if (pages <= EXACT_CLASSES)
        return (uint32_t)pages - 1;
    unsigned doubling = 63u - (unsigned)__builtin_clzll(pages - 1); /* 2^doubling < pages */
    uint64_t step = (UINT64_C(1) << doubling) / STEPS;
    uint32_t number = (uint32_t)((pages - 1 - (UINT64_C(1) << doubling)) / step);
    return EXACT_CLASSES + (doubling - 4) * STEPS + number;
}

static uint64_t class_pages(uint32_t class)
{
    if (class < EXACT_CLASSES)
        return class + 1;
    uint64_t base = UINT64_C(1) << ((class - EXACT_CLASSES) / STEPS + 4);
    return base + base / STEPS * ((class - EXACT_CLASSES) % STEPS + 1);
}

static uint32_t *link_of(const struct large_store *store, uint32_t page)
{
    return &((uint32_t *)(void *)store->guarded.links.base)[page];
}

/* @return its first page plus 1; 0: none is free */
static uint32_t free_run_locked(struct large_store *store, uint32_t class)
{
    uint32_t run = store->guarded.free[class];
    if (run != 0)
        store->guarded.free[class] = *link_of(store, run - 1);
    return run;
}

/* A run that never was. @return its first page plus 1; 0: the range is used up */
static uint32_t fresh_run_locked(struct large_store *store, uint64_t pages)
{
    struct region *region = &store->guarded.pages, *links = &store->guarded.links;
    uint64_t end = store->guarded.fresh + pages;
    if (end > region->reserved_bytes / store->page_bytes)
        return 0;
    uint64_t committed = larder__round_up(end, COMMIT_PAGES);
    if (committed > region->reserved_bytes / store->page_bytes)
        committed = region->reserved_bytes / store->page_bytes;
    if (!larder__region_commit(region, committed * store->page_bytes) ||
        !larder__region_commit(links, committed * sizeof(uint32_t)))
        return 0;
    uint32_t run = store->guarded.fresh + 1;
    store->guarded.fresh = (uint32_t)end;
    return run;
}

/* One of the class; or fresh addresses; or a longer one. @param class  in: the least; out: its own
 */
static uint32_t take_run(struct large_store *store, uint32_t *class)
{
    uint32_t wanted = *class;
    pthread_mutex_lock(&store->lock);
    uint32_t run = free_run_locked(store, wanted);
    if (run == 0)
        run = fresh_run_locked(store, class_pages(wanted));
    while (run == 0 && ++*class < LARGE_CLASSES)
        run = free_run_locked(store, *class);
    pthread_mutex_unlock(&store->lock);
    return run;
}

static void give_run_locked(struct large_store *store, const struct large *large)
{
    uint32_t page = large->first_page, class = large->class;
    larder__region_forget(&store->guarded.pages, (size_t)page * store->page_bytes,
                          class_pages(class) * store->page_bytes);
    *link_of(store, page) = store->guarded.free[class];
    store->guarded.free[class] = page + 1;
}

/* ---- the store ------------------------------------------------------------------------------ */

struct large_store *larder__large_store_open(uint64_t max_bytes, uint64_t reserved_bytes,
                                             struct larder_epoch *epoch)
{
    struct large_store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    store->epoch = epoch;
    store->page_bytes = larder__page_bytes();
    if (!larder__region_reserve(&store->guarded.pages, reserved_bytes, false)) {
        free(store);
        return NULL;
    }
    if (!larder__region_reserve(&store->guarded.links,
                                reserved_bytes / store->page_bytes * sizeof(uint32_t), false)) {
        larder__region_release(&store->guarded.pages);
        free(store);
        return NULL;
    }
    atomic_init(&store->budget.max_bytes, max_bytes);
    atomic_init(&store->budget.used_bytes, 0);
    atomic_init(&store->holders, 1);
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

static void drop_holder(struct large_store *store)
{
    /* acq_rel: what every holder did comes before the last one frees; pairs with itself */
    if (atomic_fetch_sub_explicit(&store->holders, 1, memory_order_acq_rel) != 1)
        return;
    larder__region_release(&store->guarded.pages);
    larder__region_release(&store->guarded.links);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void larder__large_store_close(struct large_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->guarded.closed = true;
    store->epoch = NULL;
    pthread_mutex_unlock(&store->lock);
    drop_holder(store);
}

/* ---- blocks --------------------------------------------------------------------------------- */

uint64_t larder__large_bound(const struct large_store *store, size_t key_length,
                             size_t value_length)
{
    if (value_length > SIZE_MAX / 2)
        return UINT64_MAX;
    return larder__round_up(sizeof(struct large) + key_length + value_length, store->page_bytes);
}

uint64_t larder__large_bytes(struct large_store *store)
{
    pthread_mutex_lock(&store->lock);
    uint64_t bytes = store->guarded.bytes;
    pthread_mutex_unlock(&store->lock);
    return bytes;
}

/* Its memory goes back before its charge does. */
static void free_locked(struct large_store *store, const struct large *large)
{
    uint64_t charged_bytes = large->charged_bytes; /* give_run_locked() takes the block's bytes */
    give_run_locked(store, large);
    store->guarded.blocks--;
    store->guarded.bytes -= charged_bytes;
}

static void block_free(struct large *large)
{
    struct large_store *store = large->store;
    uint64_t charged_bytes = large->charged_bytes;
    pthread_mutex_lock(&store->lock);
    free_locked(store, large);
    pthread_mutex_unlock(&store->lock);
    larder__budget_give(&store->budget, charged_bytes);
}

static void block_release(struct large *large)
{
    /* acq_rel: release puts our reads of the bytes before the free; acquire shows the last holder
     * that every other one's reads are over. Pairs with itself. */
    if (atomic_fetch_sub_explicit(&large->references, 1, memory_order_acq_rel) == 1)
        block_free(large);
}

static void view_release(struct larder_owner *owner)
{
    struct large *large = (struct large *)(void *)owner;
    struct large_store *store = large->store;
    block_release(large);
    drop_holder(store);
}

static unsigned char *put(unsigned char *place, const void *bytes, size_t length)
{
    if (length > 0)
        memcpy(place, bytes, length);
    return place + length;
}

static void list_locked(struct large_store *store, struct large *large)
{
    large->listed = true;
    large->previous = NULL;
    large->next = store->guarded.first;
    if (large->next != NULL)
        large->next->previous = large;
    store->guarded.first = large;
}

static void unlist_locked(struct large_store *store, struct large *large)
{
    if (!large->listed)
        return;
    large->listed = false;
    if (large->previous != NULL)
        large->previous->next = large->next;
    else
        store->guarded.first = large->next;
    if (large->next != NULL)
        large->next->previous = large->previous;
}

struct large *larder__large_new(struct large_store *store, const struct key *key,
                                const struct draft *draft)
{
    size_t value_length = draft->head_length + draft->tail_length;
    uint64_t charged_bytes = larder__large_bound(store, key->length, value_length);
    uint32_t class = class_of(charged_bytes / store->page_bytes);
    uint32_t run = class < LARGE_CLASSES ? take_run(store, &class) : 0;
    if (run == 0)
        return NULL;
    struct large *large =
        (struct large *)(void *)(store->guarded.pages.base + (size_t)(run - 1) * store->page_bytes);
    large->owner.release = view_release;
    large->store = store;
    large->charged_bytes = charged_bytes;
    large->value_length = value_length;
    large->key_length = (uint32_t)key->length;
    large->space = key->space;
    large->first_page = run - 1;
    large->class = class;
    atomic_init(&large->references, 1);
    unsigned char *place = put(large->bytes, key->bytes, key->length);
    place = put(place, draft->head, draft->head_length);
    put(place, draft->tail, draft->tail_length);
    pthread_mutex_lock(&store->lock);
    list_locked(store, large);
    store->guarded.blocks++;
    store->guarded.bytes += charged_bytes;
    pthread_mutex_unlock(&store->lock);
    return large;
}

uint64_t larder__large_discard(struct large *large)
{
    struct large_store *store = large->store;
    uint64_t charged_bytes = large->charged_bytes;
    pthread_mutex_lock(&store->lock);
    unlist_locked(store, large);
    free_locked(store, large);
    pthread_mutex_unlock(&store->lock);
    return charged_bytes;
}

void larder__large_unlist(struct large *large)
{
    pthread_mutex_lock(&large->store->lock);
    unlist_locked(large->store, large);
    pthread_mutex_unlock(&large->store->lock);
}

static void retire_locked(struct large_store *store, struct large *large)
{
    unlist_locked(store, large);
    large->next = NULL;
    large->retired_epoch = larder_epoch_advance(store->epoch);
    atomic_fetch_add_explicit(&store->retired_bytes, large->charged_bytes, memory_order_relaxed);
    if (store->guarded.retired_last != NULL)
        store->guarded.retired_last->next = large;
    else
        store->guarded.retired_first = large;
    store->guarded.retired_last = large;
}

void larder__large_retire(struct large *large)
{
    struct large_store *store = large->store;
    pthread_mutex_lock(&store->lock);
    retire_locked(store, large);
    pthread_mutex_unlock(&store->lock);
}

void larder__large_retire_marked(struct large *large, _Atomic uint8_t *mark)
{
    struct large_store *store = large->store;
    pthread_mutex_lock(&store->lock);
    retire_locked(store, large);
    atomic_store_explicit(mark, 0, memory_order_relaxed);
    pthread_mutex_unlock(&store->lock);
}

void larder__large_retire_all(struct large_store *store)
{
    pthread_mutex_lock(&store->lock);
    while (store->guarded.first != NULL)
        retire_locked(store, store->guarded.first);
    pthread_mutex_unlock(&store->lock);
}

static uint32_t oldest_locked(struct large_store *store)
{
    larder_epoch_order(store->epoch, store->guarded.retired_last->retired_epoch);
    return larder_epoch_oldest(store->epoch);
}

/* Those whose last reader has left. */
static struct large *take_passed(struct large_store *store)
{
    struct large *first = NULL, **end = &first;
    pthread_mutex_lock(&store->lock);
    uint32_t oldest = store->guarded.retired_first != NULL ? oldest_locked(store) : 0;
    while (store->guarded.retired_first != NULL &&
           larder_epoch_passed(store->guarded.retired_first->retired_epoch, oldest)) {
        *end = store->guarded.retired_first;
        atomic_fetch_sub_explicit(&store->retired_bytes, (*end)->charged_bytes,
                                  memory_order_relaxed);
        end = &(*end)->next;
        store->guarded.retired_first = *end;
    }
    *end = NULL;
    if (store->guarded.retired_first == NULL)
        store->guarded.retired_last = NULL;
    pthread_mutex_unlock(&store->lock);
    return first;
}

uint32_t larder__large_reclaim(struct large_store *store)
{
    uint32_t count = 0;
    struct large *large = take_passed(store);
    for (; large != NULL; count++) {
        struct large *next = large->next;
        block_release(large);
        large = next;
    }
    return count;
}

bool larder__marked_item_has_key(const struct item *item, const struct key *key)
{
    if ((item->marks & ITEM_LARGE) == 0)
        return item->key_length == key->length &&
               larder__part_u32(item, ITEM_SPACE) == key->space &&
               larder__bytes_equal(larder__item_key(item), key->bytes, key->length);
    struct item_block block = larder__item_block(item);
    return block.hash == key->hash && block.large->space == key->space &&
           block.large->key_length == key->length &&
           larder__bytes_equal(block.large->bytes, key->bytes, key->length);
}

uint64_t larder__large_sole_bytes(const struct item *item)
{
    const struct large *large = item != NULL ? larder__item_block(item).large : NULL;
    /* relaxed: a view that comes or goes meanwhile makes this a wrong guess, no more */
    if (large == NULL || atomic_load_explicit(&large->references, memory_order_relaxed) != 1)
        return 0;
    return large->charged_bytes;
}

void larder__large_view(struct large *large, struct larder_value *value)
{
    /* relaxed: the item's reference, within a section or under the lock, keeps the block */
    atomic_fetch_add_explicit(&large->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&large->store->holders, 1, memory_order_relaxed);
    value->bytes = larder_bytes(larder__large_value(large), large->value_length);
    value->owner = &large->owner;
}
