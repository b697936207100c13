#include "journal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/uthash.h>

/* kind, length of the namespace's name */
#define PREFIX_BYTES 2u
#define SMALL_BYTES 320u

struct entry {
    UT_hash_handle hh; /* by bytes; in the order in which they are looked at */
    enum lost_kind kind;
    int doubtful;
    enum larder_operation operation;
    enum larder_status status;
    uint64_t number;
    uint64_t deleted_ns;
    size_t length;
    unsigned char bytes[];
};

struct journal {
    atomic_uint users;
    unsigned forkers; /* touched by the forking thread, holding the mutex of the fork hooks */
    /* Written holding the mutex. Read relaxed without it: a call that follows a failed one finds
     * what that recorded before it returned; calls that overlap may come in either order. */
    _Atomic size_t count;  /* of entries, and 1 for all_lost */
    pthread_mutex_t mutex; /* a leaf */
    struct {               /* touched only while holding mutex */
        struct entry *entries;
        size_t keys;       /* of them, those of kind LOST_KEY */
        uint64_t number;   /* of the last failure */
        uint64_t all_lost; /* the number of the failure that could not be recorded; 0: none */
        struct journal_figures figures;
    } guarded;
};

/* ---- life ---------------------------------------------------------------------------------- */

struct journal *journal_new(void)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return NULL;
    atomic_init(&journal->users, 1);
    atomic_init(&journal->count, 0);
    pthread_mutex_init(&journal->mutex, NULL);
    return journal;
}

struct journal *journal_share(struct journal *journal)
{
    atomic_fetch_add_explicit(&journal->users, 1, memory_order_relaxed);
    return journal;
}

static void entries_free(struct journal *journal)
{
    struct entry *entry, *next;
    HASH_ITER(hh, journal->guarded.entries, entry, next)
    {
        HASH_DEL(journal->guarded.entries, entry);
        free(entry);
    }
}

void journal_release(struct journal *journal)
{
    /* acq_rel: the last one frees it after all the others are done with it */
    if (atomic_fetch_sub_explicit(&journal->users, 1, memory_order_acq_rel) != 1)
        return;
    entries_free(journal);
    pthread_mutex_destroy(&journal->mutex);
    free(journal);
}

/* Each of the trackers that share it asks for this: the first one locks, the last one unlocks. */
void journal_fork(struct journal *journal, enum larder_fork_step step)
{
    if (step == LARDER_FORK_PREPARE) {
        if (journal->forkers++ == 0)
            pthread_mutex_lock(&journal->mutex);
    } else if (--journal->forkers == 0) {
        pthread_mutex_unlock(&journal->mutex); /* in the child, too: its thread has locked it */
    }
}

int journal_is_empty(struct journal *journal)
{
    return atomic_load_explicit(&journal->count, memory_order_relaxed) == 0;
}

static void publish_locked(struct journal *journal)
{
    size_t count = HASH_COUNT(journal->guarded.entries) + (journal->guarded.all_lost != 0);
    atomic_store_explicit(&journal->count, count, memory_order_relaxed);
}

/* ---- names of entries ---------------------------------------------------------------------- */

struct name {
    const unsigned char *bytes;
    size_t length;
    unsigned char *allocated;
    unsigned char small[SMALL_BYTES];
};

static struct larder_slice name_of(const struct larder_space *space)
{
    return space != NULL ? space->name : larder_bytes("", 0);
}

static int name_make(struct name *name, enum lost_kind kind, const struct larder_space *space,
                     struct larder_slice key)
{
    struct larder_slice space_name = name_of(space);
    size_t key_length = kind == LOST_KEY ? key.length : 0;
    name->length = PREFIX_BYTES + space_name.length + key_length;
    name->allocated = name->length > SMALL_BYTES ? malloc(name->length) : NULL;
    unsigned char *bytes = name->length > SMALL_BYTES ? name->allocated : name->small;
    if (bytes == NULL)
        return 0;
    bytes[0] = (unsigned char)kind;
    bytes[1] = (unsigned char)space_name.length;
    memcpy(bytes + PREFIX_BYTES, space_name.data, space_name.length);
    if (key_length > 0)
        memcpy(bytes + PREFIX_BYTES + space_name.length, key.data, key_length);
    name->bytes = bytes;
    return 1;
}

static struct larder_slice space_of(const struct entry *entry)
{
    return larder_bytes(entry->bytes + PREFIX_BYTES, entry->bytes[1]);
}

static struct entry *find_locked(const struct journal *journal, const struct name *name)
{
    struct entry *entry;
    HASH_FIND(hh, journal->guarded.entries, name->bytes, name->length, entry);
    return entry;
}

static void remove_locked(struct journal *journal, struct entry *entry)
{
    journal->guarded.keys -= entry->kind == LOST_KEY;
    HASH_DEL(journal->guarded.entries, entry);
    free(entry);
}

/* ---- looking ------------------------------------------------------------------------------- */

static void sight_set(struct sight *sight, const struct entry *entry)
{
    sight->kind = entry->kind;
    sight->number = entry->number;
    sight->doubtful = entry->doubtful;
    sight->deleted_ns = entry->deleted_ns;
}

enum larder_status journal_look(struct journal *journal, enum lost_kind kind,
                                const struct larder_space *space, struct larder_slice key,
                                struct sight *sight)
{
    struct name name;
    *sight = (struct sight){.kind = kind};
    if (kind != LOST_ALL && !name_make(&name, kind, space, key))
        return LARDER_NO_MEMORY;
    pthread_mutex_lock(&journal->mutex);
    if (kind == LOST_ALL) {
        sight->number = journal->guarded.all_lost;
    } else {
        const struct entry *entry = find_locked(journal, &name);
        if (entry != NULL)
            sight_set(sight, entry);
    }
    pthread_mutex_unlock(&journal->mutex);
    if (kind != LOST_ALL)
        free(name.allocated);
    return LARDER_OK;
}

/* ---- recording ----------------------------------------------------------------------------- */

static struct entry *add_locked(struct journal *journal, const struct name *name)
{
    struct entry *entry = calloc(1, sizeof(*entry) + name->length);
    if (entry == NULL)
        return NULL;
    memcpy(entry->bytes, name->bytes, name->length);
    entry->length = name->length;
    entry->kind = (enum lost_kind)name->bytes[0];
    HASH_ADD_KEYPTR(hh, journal->guarded.entries, entry->bytes, entry->length, entry);
    if (!larder_hash_added(entry)) {
        free(entry);
        return NULL;
    }
    journal->guarded.keys += entry->kind == LOST_KEY;
    return entry;
}

/* Its whole namespace is lost: what is known of single keys there says nothing more. What is
 * doubtful in it makes the whole doubtful. @return whether it was */
static int drop_keys_locked(struct journal *journal, struct larder_slice space)
{
    struct entry *entry, *next;
    int doubtful = 0;
    HASH_ITER(hh, journal->guarded.entries, entry, next)
    {
        struct larder_slice other = space_of(entry);
        if (entry->kind != LOST_KEY || other.length != space.length ||
            memcmp(other.data, space.data, space.length) != 0)
            continue;
        doubtful |= entry->doubtful;
        remove_locked(journal, entry);
    }
    return doubtful;
}

/* @return 1 when it is new, 0 when it was there, -1 when it can't be recorded */
static int record_locked(struct journal *journal, const struct name *name,
                         const struct larder_lost *lost, int doubtful)
{
    struct entry *entry = find_locked(journal, name);
    int is_new = entry == NULL;
    if (is_new)
        entry = add_locked(journal, name);
    if (entry == NULL)
        return -1;
    entry->number = journal->guarded.number;
    entry->operation = lost->operation;
    entry->status = lost->status;
    entry->doubtful |= doubtful;
    entry->deleted_ns = 0;
    journal->guarded.figures.recorded += (uint64_t)is_new;
    return is_new;
}

static int record_space_locked(struct journal *journal, const struct larder_space *space,
                               const struct larder_lost *lost, int doubtful)
{
    struct name name;
    if (!name_make(&name, LOST_SPACE, space, lost->key))
        return -1;
    doubtful |= drop_keys_locked(journal, name_of(space));
    int is_new = record_locked(journal, &name, lost, doubtful);
    free(name.allocated);
    return is_new;
}

static int record_key_locked(struct journal *journal, size_t keys_max, const struct name *name,
                             const struct larder_lost *lost, int doubtful)
{
    if (journal->guarded.keys >= keys_max && find_locked(journal, name) == NULL)
        return -1;
    return record_locked(journal, name, lost, doubtful);
}

/* The smallest that can be recorded. */
static int record_any_locked(struct journal *journal, size_t keys_max, const struct name *name,
                             const struct larder_space *space, const struct larder_lost *lost,
                             int doubtful, enum lost_kind *recorded)
{
    int is_new = -1;
    journal->guarded.number++;
    *recorded = LOST_KEY;
    if (lost->key.length > 0 && name->bytes != NULL)
        is_new = record_key_locked(journal, keys_max, name, lost, doubtful);
    if (is_new >= 0)
        return is_new;
    journal->guarded.figures.overflows += lost->key.length > 0;
    *recorded = LOST_SPACE;
    is_new = record_space_locked(journal, space, lost, doubtful);
    if (is_new >= 0)
        return is_new;
    *recorded = LOST_ALL;
    is_new = journal->guarded.all_lost == 0;
    journal->guarded.all_lost = journal->guarded.number;
    return is_new;
}

int journal_record(struct journal *journal, size_t keys_max, const struct larder_space *space,
                   const struct larder_lost *lost, int doubtful, enum lost_kind *recorded)
{
    struct name name;
    if (!name_make(&name, LOST_KEY, space, lost->key))
        name.bytes = NULL;
    pthread_mutex_lock(&journal->mutex);
    int is_new = record_any_locked(journal, keys_max, &name, space, lost, doubtful, recorded);
    publish_locked(journal);
    pthread_mutex_unlock(&journal->mutex);
    free(name.allocated);
    return is_new;
}

/* ---- forgetting ---------------------------------------------------------------------------- */

static int all_made_up_locked(struct journal *journal, const struct sight *sight)
{
    if (journal->guarded.all_lost != sight->number)
        return 0;
    journal->guarded.all_lost = 0;
    return 1;
}

static int entry_made_up_locked(struct journal *journal, struct entry *entry,
                                const struct sight *sight, uint64_t now_ns, uint64_t settle_ns)
{
    if (entry->number != sight->number)
        return 0;
    if (entry->doubtful && settle_ns > 0 &&
        (sight->deleted_ns == 0 || now_ns - sight->deleted_ns < settle_ns)) {
        if (entry->deleted_ns == 0)
            entry->deleted_ns = now_ns != 0 ? now_ns : 1;
        return 0;
    }
    remove_locked(journal, entry);
    journal->guarded.figures.made_up++;
    return 1;
}

int journal_made_up(struct journal *journal, const struct larder_space *space,
                    struct larder_slice key, const struct sight *sight, uint64_t now_ns,
                    uint64_t settle_ns)
{
    struct name name;
    int is_fit = 1;
    if (!name_make(&name, sight->kind, space, key))
        return 0;
    pthread_mutex_lock(&journal->mutex);
    struct entry *entry = find_locked(journal, &name);
    if (sight->kind == LOST_ALL)
        is_fit = all_made_up_locked(journal, sight);
    else if (entry != NULL) /* else somebody else has made up for it */
        is_fit = entry_made_up_locked(journal, entry, sight, now_ns, settle_ns);
    publish_locked(journal);
    pthread_mutex_unlock(&journal->mutex);
    free(name.allocated);
    return is_fit;
}

uint64_t journal_now(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    uint64_t number = journal->guarded.number;
    pthread_mutex_unlock(&journal->mutex);
    return number;
}

static int is_in(const struct entry *entry, const struct larder_space *space)
{
    struct larder_slice other = space_of(entry);
    return space == NULL || (other.length == space->name.length &&
                             memcmp(other.data, space->name.data, other.length) == 0);
}

void journal_flushed(struct journal *journal, const struct larder_space *space, uint64_t number)
{
    struct entry *entry, *next;
    pthread_mutex_lock(&journal->mutex);
    HASH_ITER(hh, journal->guarded.entries, entry, next)
    {
        if (entry->number <= number && !entry->doubtful && is_in(entry, space)) {
            remove_locked(journal, entry);
            journal->guarded.figures.made_up++;
        }
    }
    if (space == NULL && journal->guarded.all_lost <= number)
        journal->guarded.all_lost = 0;
    publish_locked(journal);
    pthread_mutex_unlock(&journal->mutex);
}

/* ---- one after the other ------------------------------------------------------------------- */

static int copy_make(const struct entry *entry, struct entry_copy *copy)
{
    memset(copy, 0, sizeof(*copy));
    copy->bytes = malloc(entry->length);
    if (copy->bytes == NULL)
        return 0;
    memcpy(copy->bytes, entry->bytes, entry->length);
    size_t before_key = PREFIX_BYTES + entry->bytes[1];
    copy->has_space = entry->bytes[1] != 0;
    copy->space.size = sizeof(copy->space);
    copy->space.name = larder_bytes(copy->bytes + PREFIX_BYTES, entry->bytes[1]);
    copy->lost = (struct larder_lost){
        .size = sizeof(copy->lost),
        .operation = entry->operation,
        .status = entry->status,
        .name_space = copy->space.name,
        .key = larder_bytes(copy->bytes + before_key, entry->length - before_key)};
    sight_set(&copy->sight, entry);
    return 1;
}

/* Puts an entry behind all others, without memory of its own for that. */
static void put_behind_locked(struct journal *journal, struct entry *entry)
{
    if (HASH_COUNT(journal->guarded.entries) < 2)
        return;
    HASH_DEL(journal->guarded.entries, entry);
    HASH_ADD_KEYPTR(hh, journal->guarded.entries, entry->bytes, entry->length, entry);
    if (larder_hash_added(entry)) /* the table is there: nothing is allocated but for growth */
        return;
    journal->guarded.keys -= entry->kind == LOST_KEY;
    journal->guarded.all_lost = ++journal->guarded.number;
    free(entry);
}

static int all_make(struct entry_copy *copy, uint64_t number)
{
    memset(copy, 0, sizeof(*copy));
    copy->lost = (struct larder_lost){.size = sizeof(copy->lost),
                                      .operation = LARDER_OPERATION_FLUSH,
                                      .status = LARDER_NO_MEMORY};
    copy->sight = (struct sight){.kind = LOST_ALL, .number = number};
    return 1;
}

static int next_locked(struct journal *journal, int takes_out, struct entry_copy *copy)
{
    struct entry *entry = journal->guarded.entries;
    if (journal->guarded.all_lost != 0) {
        int made = all_make(copy, journal->guarded.all_lost);
        if (takes_out)
            journal->guarded.all_lost = 0;
        return made;
    }
    if (entry == NULL || !copy_make(entry, copy))
        return 0;
    if (takes_out)
        remove_locked(journal, entry);
    else
        put_behind_locked(journal, entry);
    return 1;
}

int journal_next(struct journal *journal, int takes_out, struct entry_copy *copy)
{
    pthread_mutex_lock(&journal->mutex);
    int made = next_locked(journal, takes_out, copy);
    publish_locked(journal);
    pthread_mutex_unlock(&journal->mutex);
    return made;
}

void journal_read(struct journal *journal, struct journal_figures *figures)
{
    pthread_mutex_lock(&journal->mutex);
    *figures = journal->guarded.figures;
    figures->keys = journal->guarded.keys;
    figures->wholes = HASH_COUNT(journal->guarded.entries) - journal->guarded.keys +
                      (journal->guarded.all_lost != 0);
    pthread_mutex_unlock(&journal->mutex);
}
