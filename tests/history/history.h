/*
 * Histories: what several threads asked of one cache at once, when each call began and ended, and
 * what it answered. linearizability.h tells whether a history can be explained.
 *
 * Every stored value is a number of its own, so a read says which write it saw. Values that were
 * appended to are known by a fingerprint of their parts.
 */
#ifndef TESTS_HISTORY_H
#define TESTS_HISTORY_H

#include <larder/larder.h>

/** X(name): what an event did. */
#define ACT_TABLE(X)  \
    X(GET)            \
    X(SET)            \
    X(ADD)            \
    X(REPLACE)        \
    X(APPEND)         \
    X(CAS)            \
    X(DELETE)         \
    X(DELETE_VERSION) \
    X(TOUCH)          \
    X(GET_AND_TOUCH)  \
    X(COUNT)          \
    X(LEASE_GET)      \
    X(LEASE_FILL)     \
    X(LEASE_RETURN)   \
    X(FLUSH)          \
    X(ADVANCE) /* the clock, by ttl_ms */

enum act {
#define ACT_ROW(name) ACT_##name,
    ACT_TABLE(ACT_ROW)
#undef ACT_ROW
        ACTS
};

/** "SET" for ACT_SET. */
const char *act_name(enum act act);

#define EVERY_KEY UINT32_MAX /* event.key of FLUSH and ADVANCE */

struct event {
    enum act act;
    uint32_t key;
    uint32_t thread;
    enum larder_status status;
    uint64_t began, ended; /* places in one order of all beginnings and ends; never equal */
    uint64_t written;      /* the number that was stored */
    uint64_t seen;         /* the fingerprint that was read; cas, delete at a version: the one that
                              had been read with the version */
    uint64_t number;       /* of a count: the result, counted from 0 in steps of 1 */
    uint64_t token;        /* of a lease; 0: none was given */
    int64_t ttl_ms;        /* of the write, touch, lease or advance */
    uint64_t now_ms;       /* the clock before it began: TTLs count from a moment within the call */
};

/** The fingerprint of a value of one number. */
#define FINGERPRINT_NONE UINT64_C(0)
/** The fingerprint of a value that had `before` and to which a number was appended. */
uint64_t fingerprint(uint64_t before, uint64_t number);
/** The fingerprint of a counter. */
uint64_t counter_fingerprint(uint64_t number);

#endif
