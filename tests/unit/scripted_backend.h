/* A backend with an option of every type (but METADATA) that writes down what it was opened with.
 * One thread. */
#ifndef TESTS_SCRIPTED_BACKEND_H
#define TESTS_SCRIPTED_BACKEND_H

#include <larder/backend.h>

/* The parameter is not called TEXT, which is a type's name as well. */
#define SCRIPTED_OPTIONS_TABLE(NUMBER, STRING)                                                \
    STRING(SERVERS, servers, servers, "127.0.0.1", NULL, "where the servers are")             \
    NUMBER(BYTES, room, room_bytes, 65536, 1024, UINT64_C(1) << 40, "how much room there is") \
    NUMBER(DURATION, patience, patience_ms, 15000, 10, 86400000, "how long it waits")         \
    NUMBER(COUNT, hands, hands, 4, 1, 64, "how many hands it has")                            \
    NUMBER(SWITCH, polite, polite, 1, 0, 1, "whether it greets")                              \
    STRING(TEXT, mood, mood, "calm", "calm|busy", "how it feels")                             \
    STRING(TEXT, note, note, NULL, NULL, "any text")                                          \
    STRING(SECRET, password, password, NULL, NULL, "where its password is")

struct scripted_options {
    size_t struct_size;
    SCRIPTED_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};

/** What the last open was given; texts are copies, "" for NULL. */
struct scripted_record {
    char servers[256];
    uint64_t room_bytes, patience_ms, hands, polite;
    char mood[16];
    char note[65537];
    char password[64];
    int opened, closed;   /* since scripted_reset() */
    int fail_open_number; /* this open (1 is the first) fails; 0: none */
};

extern struct scripted_record scripted;
extern const struct larder_backend scripted_backend; /* its scheme is "scripted" */

void scripted_reset(void);

#endif
