/* A cache that can be down, as one on servers: an entry is in memory, and a list that changes keeps
 * it. One thread. */
#ifndef TESTS_FLAKY_BACKEND_H
#define TESTS_FLAKY_BACKEND_H

#include <larder/backend.h>

/* The parameter is not called TEXT, which is a type's name as well. */
#define FLAKY_OPTIONS_TABLE(NUMBER, STRING)                                            \
    STRING(SERVERS, servers, servers, "127.0.0.1", NULL, "where the servers would be") \
    NUMBER(COUNT, weight, weight, 1, 0, 1000, "of no effect; 0: it can't be opened")

struct flaky_options {
    size_t struct_size;
    FLAKY_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};

struct flaky_record {
    int is_down;          /* every call is UNAVAILABLE */
    int opened, relisted; /* new ones; ones that took over the entries of those before */
    int closed;
};

extern struct flaky_record flaky;
extern const struct larder_backend flaky_backend; /* its scheme is "flaky" */

#endif
