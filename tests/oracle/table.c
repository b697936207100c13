#include "table.h"

#include <stdlib.h>
#include <string.h>

#include <larder/util/value.h>

#define NS_PER_MS UINT64_C(1000000)

uint64_t oracle_now_ns(const struct oracle *oracle)
{
    return oracle->clock.now_ns(oracle->clock.context);
}

bool oracle_lock(struct oracle *oracle)
{
    pthread_mutex_lock(&oracle->lock);
    if (oracle->guarded.closed)
        pthread_mutex_unlock(&oracle->lock);
    return !oracle->guarded.closed;
}

/* ---- one entry ----------------------------------------------------------------------------- */

bool oracle_lease_is_valid(const struct oracle_entry *entry, uint64_t now_ns)
{
    return entry->lease_token != 0 && now_ns < entry->lease_end_ns;
}

bool oracle_is_in(const struct oracle_entry *entry, const struct larder_space *space)
{
    if (space == NULL)
        return true;
    return entry->key[0] == space->name.length &&
           memcmp(entry->key + 1, space->name.data, space->name.length) == 0;
}

struct larder_slice oracle_name(const struct oracle_entry *entry)
{
    size_t before = 1 + (size_t)entry->key[0];
    return larder_bytes(entry->key + before, entry->key_length - before);
}

uint64_t oracle_expiry(uint64_t now_ns, int64_t ttl_ms)
{
    return ttl_ms == LARDER_TTL_FOREVER ? LARDER_NEVER_NS
                                        : larder_deadline_after(now_ns, (uint64_t)ttl_ms);
}

void oracle_drop(struct oracle *oracle, struct oracle_entry *entry)
{
    HASH_DEL(oracle->guarded.first, entry);
    free(entry->value);
    free(entry);
}

/* ---- one visit ----------------------------------------------------------------------------- */

static void make_key(struct oracle_visit *visit, const struct larder_space *space,
                     struct larder_slice name)
{
    struct larder_slice before = space != NULL ? space->name : larder_bytes("", 0);
    visit->key[0] = (unsigned char)before.length;
    memcpy(visit->key + 1, before.data, before.length);
    memcpy(visit->key + 1 + before.length, name.data, name.length);
    visit->key_length = 1 + before.length + name.length;
}

static void look(struct oracle_visit *visit)
{
    struct oracle_entry *entry;
    HASH_FIND(hh, visit->oracle->guarded.first, visit->key, visit->key_length, entry);
    visit->presence = ORACLE_MISSING;
    if (entry != NULL && visit->now_ns < entry->expiry_ns) {
        visit->presence = entry->absent ? ORACLE_NEGATIVE : ORACLE_PRESENT;
    } else if (entry != NULL && !oracle_lease_is_valid(entry, visit->now_ns)) {
        oracle_drop(visit->oracle, entry);
        entry = NULL;
    }
    visit->entry = entry;
}

enum larder_status oracle_enter(struct oracle_visit *visit, const struct larder_scope *scope,
                                struct larder_slice name)
{
    visit->oracle = scope->self;
    if (!oracle_lock(visit->oracle))
        return LARDER_CLOSED;
    visit->now_ns = oracle_now_ns(visit->oracle);
    make_key(visit, scope->space, name);
    look(visit);
    return LARDER_OK;
}

void oracle_leave(struct oracle_visit *visit)
{
    pthread_mutex_unlock(&visit->oracle->lock);
}

/* ---- telling ------------------------------------------------------------------------------- */

/* Rounded up: an entry that is there has something left, and 0 would say for ever. */
static int64_t ttl_left_ms(const struct oracle_visit *visit)
{
    if (visit->entry->expiry_ns == LARDER_NEVER_NS)
        return LARDER_TTL_FOREVER;
    return (int64_t)((visit->entry->expiry_ns - visit->now_ns + NS_PER_MS - 1) / NS_PER_MS);
}

void oracle_tell(const struct oracle_visit *visit, struct larder_info *info)
{
    if (info == NULL)
        return;
    info->flags = visit->entry->flags;
    info->length = visit->entry->value_length;
    info->version = visit->entry->version;
    info->ttl_ms = ttl_left_ms(visit);
}

enum larder_status oracle_view(const struct oracle_visit *visit, struct larder_value *value)
{
    enum larder_status status =
        larder_value_copy(value, visit->entry->value, visit->entry->value_length);
    if (status == LARDER_OK)
        oracle_tell(visit, &value->info);
    return status;
}

/* ---- storing ------------------------------------------------------------------------------- */

static bool add_entry(struct oracle_visit *visit)
{
    struct oracle *oracle = visit->oracle;
    struct oracle_entry *entry = calloc(1, sizeof(*entry) + visit->key_length);
    if (entry == NULL)
        return false;
    entry->key_length = visit->key_length;
    memcpy(entry->key, visit->key, visit->key_length);
    entry->sequence = ++oracle->guarded.sequence;
    HASH_ADD_KEYPTR(hh, oracle->guarded.first, entry->key, entry->key_length, entry);
    if (!larder_hash_added(entry)) {
        free(entry);
        return false;
    }
    visit->entry = entry;
    return true;
}

static unsigned char *joined(const struct oracle_draft *draft)
{
    unsigned char *value = malloc(draft->head.length + draft->tail.length + 1);
    if (value != NULL && draft->head.length > 0)
        memcpy(value, draft->head.data, draft->head.length);
    if (value != NULL && draft->tail.length > 0)
        memcpy(value + draft->head.length, draft->tail.data, draft->tail.length);
    return value;
}

enum larder_status oracle_put(struct oracle_visit *visit, const struct oracle_draft *draft)
{
    size_t length = draft->head.length + draft->tail.length;
    if (length > visit->oracle->traits.value_max)
        return LARDER_TOO_LARGE;
    unsigned char *value = joined(draft);
    if (value == NULL || (visit->entry == NULL && !add_entry(visit))) {
        free(value);
        return LARDER_NO_MEMORY;
    }
    struct oracle_entry *entry = visit->entry;
    free(entry->value);
    entry->value = value;
    entry->value_length = length;
    entry->version = ++visit->oracle->guarded.version;
    entry->expiry_ns = draft->expiry_ns;
    entry->lease_token = draft->lease_token;
    entry->lease_end_ns = draft->lease_end_ns;
    entry->flags = draft->flags;
    entry->absent = draft->absent;
    return LARDER_OK;
}
