/*
 * Records: what a keyspace with metadata writes on a server where a plain value does not say
 * enough. One format for leases, negative entries, tags and codecs; docs/record-codec.md publishes
 * it with test vectors.
 *
 *   raw      the caller's bytes and flags as they are: a plain value that never expires
 *   record   flags LARDER_RECORD_FLAGS, and a header before the payload
 *
 * Pure functions between bytes and a struct. Whatever the bytes are, decoding reads nothing outside
 * of them; and every record has one form: what decodes is what would be written.
 */
#ifndef LARDER_UTIL_RECORD_CODEC_H
#define LARDER_UTIL_RECORD_CODEC_H

#include <larder/backend.h>

/** The flags that say that a header is there. A number with its top bit and bits of every byte set,
 * drawn by lot: client libraries count types in the lowest bits, or in the top byte upwards from 1,
 * so none of them writes it. What has it by chance is enveloped like anything else that is not
 * plain. */
#define LARDER_RECORD_FLAGS UINT32_C(0xa9d36c4b)

/** The version that is written. Every other one decodes as LARDER_RECORD_UNKNOWN. */
#define LARDER_RECORD_VERSION 1u

/** The most tags of one record, and the longest name of one, in bytes. */
#define LARDER_RECORD_TAGS_MAX 16u
#define LARDER_RECORD_TAG_BYTES_MAX 64u

/** The header without lease and tags; the longest one without tags; the longest of all. */
#define LARDER_RECORD_HEADER_MIN 40u
#define LARDER_RECORD_HEADER_UNTAGGED_MAX (LARDER_RECORD_HEADER_MIN + 16u)
#define LARDER_RECORD_HEADER_MAX         \
    (LARDER_RECORD_HEADER_UNTAGGED_MAX + \
     LARDER_RECORD_TAGS_MAX * (1u + LARDER_RECORD_TAG_BYTES_MAX + 8u))

/** The payload as it was given. Other numbers belong to codecs that are still to come. */
#define LARDER_RECORD_CODEC_NONE 0u

enum larder_record_kind {
    LARDER_RECORD_VALUE,   /* a value; with a lease: somebody renews it */
    LARDER_RECORD_PENDING, /* no value yet: somebody computes it */
    LARDER_RECORD_ABSENT   /* a negative entry */
};

/** What bytes turn out to be. */
enum larder_record_form {
    LARDER_RECORD_RAW,         /* a plain value: kind, flags and payload are filled in */
    LARDER_RECORD_ENVELOPED,   /* a record: everything is filled in */
    LARDER_RECORD_PLACEHOLDER, /* no bytes and flags 0: raw, or the lease of another program */
    LARDER_RECORD_UNKNOWN,     /* a record of another version: nothing is filled in */
    LARDER_RECORD_MALFORMED    /* LARDER_RECORD_FLAGS without a header that can be: nothing is */
};

/** A tag, and its generation when the record was made. */
struct larder_record_tag {
    struct larder_slice name; /* 1 to LARDER_RECORD_TAG_BYTES_MAX bytes */
    uint64_t generation;
};

/** Times are milliseconds of wall time since 1970, since a record outlives its process. */
struct larder_record {
    enum larder_record_kind kind;
    uint32_t codec;        /* LARDER_RECORD_CODEC_*, at most 255 */
    uint32_t flags;        /* the caller's */
    uint32_t load_ms;      /* how long computing the value took; 0: not known */
    uint64_t stored_ms;    /* when the record was made; of a pending one, when the lease began */
    uint64_t soft_ms;      /* from when on it may be renewed; 0: not said */
    uint64_t hard_ms;      /* from when on it is dead; 0: never */
    uint64_t token;        /* of the lease; 0: there is none */
    uint64_t lease_end_ms; /* from when on the lease is void; 0 without a lease */
    size_t tag_count;
    struct larder_record_tag tags[LARDER_RECORD_TAGS_MAX];
    struct larder_slice payload;
};

/** The record of a plain value. */
struct larder_record larder_record_of(struct larder_slice payload, uint32_t flags);

/** 1 when the record goes out raw: a value without metadata, whose flags are not those of records
 * and which can't be taken for a placeholder. */
int larder_record_is_raw(const struct larder_record *record);

/**
 * Writes the header; payload and flags LARDER_RECORD_FLAGS are the caller's to send. A record that
 * could go out raw may be enveloped as well.
 * @return its length; 0 for a record that can't be (see docs/record-codec.md)
 */
size_t larder_record_header(const struct larder_record *record,
                            unsigned char header[LARDER_RECORD_HEADER_MAX]);

/**
 * Reads what a server holds.
 * @param flags   as the server keeps them
 * @param bytes   borrowed: payload and names of tags point into them
 * @param record  zeroed where nothing is filled in
 */
enum larder_record_form larder_record_decode(uint32_t flags, struct larder_slice bytes,
                                             struct larder_record *record);

#endif
