/*
 * What a server holds under a key of a keyspace with metadata: looked at, changed, and put back at
 * the version that was seen.
 */
#ifndef LARDER_ITEM_H
#define LARDER_ITEM_H

#include <stdatomic.h>

#include <larder/backend.h>
#include <larder/util/record_codec.h>

struct keyspace {
    /* set while opening, then only read */
    struct larder_ops inner_ops; /* complete */
    void *inner_self;
    struct larder_traits inner_traits;
    struct larder_ops ops;
    struct larder_traits traits;
    struct larder_clock clock;
    uint64_t epoch_ms; /* what the clock's 0 is in wall time; 0: wall time is read itself */
    uint32_t metadata; /* METADATA_* */
    /* figures: relaxed, they order nothing */
    _Atomic uint64_t unknown;
    _Atomic uint64_t malformed;
    _Atomic uint64_t races;  /* lost */
    _Atomic uint64_t forced; /* deletes that took whatever was there */
};

/** What an item is to a caller. */
enum item_state {
    ITEM_NONE,     /* nothing is there */
    ITEM_LIVE,     /* a value */
    ITEM_NEGATIVE, /* a negative entry */
    ITEM_PENDING,  /* no value, and a lease that holds */
    ITEM_VACANT    /* something that is nothing: expired, void, or unreadable */
};

struct item {
    enum item_state state;
    enum larder_record_form form;
    uint64_t version;            /* of what is there; 0: not asked, or nothing is */
    struct larder_record record; /* its slices lie in the view */
    struct larder_value view;
};

/** A call in steps: one deadline for all of them. */
struct steps {
    struct larder_scope scope; /* of the backend below */
    struct keyspace *keyspace;
    uint32_t rounds; /* that were lost */
    uint64_t
        late_ns; /* from when on half of the call's time is over; LARDER_NEVER_NS: it has none */
};

struct keyspace *larder__keyspace_of(const struct larder_scope *scope);
/** The same call, on the backend below. */
struct larder_scope larder__keyspace_inner(const struct larder_scope *scope);
/** Wall time in milliseconds since 1970. */
uint64_t larder__keyspace_now_ms(const struct keyspace *keyspace);

void larder__steps_begin(struct steps *steps, const struct larder_scope *scope);
/** After a lost race: waits a moment, drawn by lot, so that many who want the same key don't meet
 * again. @return OK; TIMEOUT when the call's time is over; UNAVAILABLE after too many */
enum larder_status larder__steps_again(struct steps *steps);

/** Reads an item, with its version. @return OK with an item to release, whatever its state; as
 * get; UNSUPPORTED on a server that gives no versions */
enum larder_status larder__item_look(const struct steps *steps, struct larder_slice key,
                                     struct item *item);
/** Makes an item of what a get answered; takes the view. */
void larder__item_of(struct keyspace *keyspace, enum larder_status answer,
                     struct larder_value *view, struct item *item);
void larder__item_release(struct item *item);

/** Hands out an item as a get does. @return OK, ABSENT or MISS; `value` comes in empty */
enum larder_status larder__item_deliver(const struct keyspace *keyspace, struct item *item,
                                        struct larder_value *value);

/** The record of a plain write. */
struct larder_record larder__record_of_write(const struct larder_write *write, uint64_t now_ms);
/** From when on something with this TTL is dead; 0: never. */
uint64_t larder__hard_after(uint64_t now_ms, int64_t ttl_ms);
/** What is left of a record's life; LARDER_TTL_FOREVER, or at least 1. */
int64_t larder__record_ttl(const struct larder_record *record, uint64_t now_ms);

/** Stores a record, raw where it may be.
 * @param version  LARDER_CAS: at which; else 0 @return as store */
enum larder_status larder__record_put(const struct steps *steps, enum larder_mode mode,
                                      struct larder_slice key, const struct larder_record *record,
                                      uint64_t version);

/** 1 while the record's lease is this one, and holds. */
int larder__lease_holds(const struct larder_record *record, uint64_t token, uint64_t now_ms);

larder_lease_get_fn larder__keyspace_lease_get;
larder_lease_fill_fn larder__keyspace_lease_fill;
larder_lease_return_fn larder__keyspace_lease_return;

#endif
