/*
 * Values that say what they are: whose, which version, how long, until when, and a checksum over
 * all of it. A value is one record or, where something was appended, several. Whoever reads one can
 * tell a wrong byte, another key's value, a torn one, one that had to be gone, and one that is
 * dead.
 */
#ifndef TESTS_SELF_DESCRIBING_H
#define TESTS_SELF_DESCRIBING_H

#include <larder/larder.h>

#define RECORD_BYTES_MIN 40u
/** record.expiry_ms: the record does not know; it may be touched, or be appended to something. */
#define RECORD_EXPIRY_UNKNOWN UINT64_MAX

struct record {
    uint32_t key;
    uint64_t version;
    uint64_t expiry_ms; /* dead from then on, by the test's clock */
    size_t length;      /* of all of it, in bytes; a multiple of 8, at least RECORD_BYTES_MIN */
};

/** Writes a record of record->length bytes; `room` is aligned to 8. */
void record_write(const struct record *record, void *room);

/** What a reader knows before it reads: anything else is wrong. */
struct expectation {
    uint32_t key;
    uint64_t oldest;  /* version that any record of the value may have */
    uint64_t reached; /* version that the newest record at least has */
    uint64_t now_ms;
};

/** Checks all records of a value, at any address. @return NULL, or what is wrong: static storage */
const char *value_is_wrong(struct larder_slice value, const struct expectation *expected);

#endif
