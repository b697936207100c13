/*
 * Entries and their views. A large value is viewed in place: the view is a reference, and the bytes
 * stay charged until it is released, whatever became of the entry and of the cache. A small one is
 * copied, since a reference would pin the whole entry for the sake of a few bytes.
 */
#include "entry.h"

#include <larder/util/value.h>

#include <string.h>

#define COPIED_BYTES_MAX 4096u
#define NS_PER_MS UINT64_C(1000000)

static size_t entry_size(size_t space_length, size_t key_length, size_t value_length)
{
    return sizeof(struct entry) + space_length + key_length + value_length;
}

uint64_t larder__entry_bound(const struct key *key, const struct draft *draft)
{
    if (draft->head.length > ENTRY_VALUE_MAX || draft->tail.length > ENTRY_VALUE_MAX)
        return UINT64_MAX;
    return larder__heap_bound(
        entry_size(key->space.length, key->name.length, draft->head.length + draft->tail.length));
}

static void view_release(struct larder_owner *owner)
{
    larder__entry_release((struct entry *)(void *)owner);
}

static unsigned char *put_bytes(unsigned char *place, struct larder_slice bytes)
{
    if (bytes.length > 0)
        memcpy(place, bytes.data, bytes.length);
    return place + bytes.length;
}

struct entry *larder__entry_new(struct allowance *allowance, const struct key *key,
                                const struct draft *draft)
{
    size_t value_length = draft->head.length + draft->tail.length;
    struct entry *entry = larder__allowance_allocate(
        allowance, entry_size(key->space.length, key->name.length, value_length));
    if (entry == NULL)
        return NULL;
    memset(entry, 0, sizeof(*entry));
    entry->owner.release = view_release;
    entry->ledger = allowance->ledger;
    entry->value_length = value_length;
    entry->key_length = (uint32_t)key->name.length;
    entry->space_length = (uint8_t)key->space.length;
    entry->flags = draft->flags;
    entry->absent = draft->absent;
    entry->expiry_ns = draft->expiry_ns;
    entry->lease_token = draft->lease_token;
    entry->lease_end_ns = draft->lease_end_ns;
    atomic_init(&entry->references, 1);
    unsigned char *place = put_bytes(entry->bytes, key->space);
    place = put_bytes(place, key->name);
    place = put_bytes(place, draft->head);
    put_bytes(place, draft->tail);
    return entry;
}

void larder__entry_release(struct entry *entry)
{
    /* acq_rel: release puts our reads of the bytes before the free; acquire shows the last holder
     * that every other one's reads are over. Pairs with itself. */
    if (atomic_fetch_sub_explicit(&entry->references, 1, memory_order_acq_rel) == 1)
        larder__ledger_free(entry->ledger, entry);
}

bool larder__entry_is_pinned(const struct entry *entry)
{
    /* acquire: pairs with a view's release, whose reads are over before the entry is freed. */
    return atomic_load_explicit(&entry->references, memory_order_acquire) > 1;
}

static void entry_hold(struct entry *entry)
{
    /* relaxed: the table's own reference, under the shard's lock, keeps the entry meanwhile. */
    atomic_fetch_add_explicit(&entry->references, 1, memory_order_relaxed);
}

struct larder_slice larder__entry_key(const struct entry *entry)
{
    return larder_bytes(entry->bytes + entry->space_length, entry->key_length);
}

struct larder_slice larder__entry_value(const struct entry *entry)
{
    return larder_bytes(entry->bytes + entry->space_length + entry->key_length,
                        entry->value_length);
}

bool larder__entry_is_in(const struct entry *entry, struct larder_slice space)
{
    return entry->space_length == space.length &&
           (space.length == 0 || memcmp(entry->bytes, space.data, space.length) == 0);
}

bool larder__entry_has_key(const struct entry *entry, const struct key *key)
{
    struct larder_slice name = larder__entry_key(entry);
    return larder__entry_is_in(entry, key->space) && name.length == key->name.length &&
           memcmp(name.data, key->name.data, name.length) == 0;
}

uint64_t larder__entry_end_ns(const struct entry *entry)
{
    if (entry->lease_token != 0 && entry->lease_end_ns > entry->expiry_ns)
        return entry->lease_end_ns;
    return entry->expiry_ns;
}

/* Rounded up: an entry that is there has something left, and 0 would say for ever. */
static int64_t ttl_left_ms(const struct entry *entry, uint64_t now_ns)
{
    if (entry->expiry_ns == LARDER_NEVER_NS)
        return LARDER_TTL_FOREVER;
    uint64_t left_ns = entry->expiry_ns - now_ns;
    return (int64_t)(left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0));
}

void larder__entry_info(const struct entry *entry, uint64_t now_ns, struct larder_info *info)
{
    if (info == NULL)
        return;
    info->flags = entry->flags;
    info->length = entry->value_length;
    info->version = entry->version;
    info->ttl_ms = ttl_left_ms(entry, now_ns);
}

enum larder_status larder__entry_view(struct entry *entry, uint64_t now_ns,
                                      struct larder_value *value)
{
    struct larder_slice bytes = larder__entry_value(entry);
    if (bytes.length <= COPIED_BYTES_MAX) {
        if (larder_value_copy(value, bytes.data, bytes.length) != LARDER_OK)
            return LARDER_NO_MEMORY;
    } else {
        entry_hold(entry);
        value->bytes = bytes;
        value->owner = &entry->owner;
    }
    larder__entry_info(entry, now_ns, &value->info);
    return LARDER_OK;
}
