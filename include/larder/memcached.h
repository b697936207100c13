/*
 * memcached and pooled-memcached: caches on memcached servers, over libmemcached.
 *
 * `memcached:` keeps as many connections per server as threads call at once; `pooled-memcached:`
 * has a pool of a fixed size, whose members calls wait for by their deadline, and which a session
 * holds. All else is the same: text protocol (binary=on for the other), keys of any bytes, a server
 * that is down marked so and probed. Several processes see the same entries. What a keyspace keeps
 * beside plain values (leases, negative entries) it declares with metadata=; see
 * docs/record-codec.md. Without it, a key that another program (or `meta:`) leases by the meta
 * protocol reads as an empty value, and one that it marked stale as a live one.
 *
 * What memcached itself does differently, and no client can change: it counts on from anything that
 * strtoull() takes: leading white space, a sign, trailing text after a space (the trait
 * STRICT_COUNTERS is absent); 1.6.18 now and then refuses to count from 2^63 up (fixed in 1.6.22),
 * which is UNKNOWN here, since libmemcached can't tell that from a reply gone wrong.
 *
 * Use these backends only with servers, and over networks, that you trust. libmemcached (1.1.4)
 * believes what a server says about lengths, so a hostile one can overwrite the client's memory:
 * with binary=on by a version, a key or a body of the wrong length, in text by a key of more than
 * 250 bytes in any reply. Replies that merely went wrong are found where that is possible, and the
 * connection is replaced. What no wrapper can close, each in a test by the name given:
 *
 *   a_long_binary_version_overruns_the_stack_of_libmemcached, and three more of this kind
 *   a_well_formed_wrong_answer_to_a_store_aborts_inside_libmemcached
 *   a_write_answered_twice_answers_the_next_write_as_well: on that connection, since libmemcached
 *       doesn't show whether bytes are left unread; a read there is PROTOCOL
 *   not_found_in_reply_to_a_read_is_taken_for_a_miss
 *   a_dripping_server_outlasts_the_deadline, signals_outlast_the_deadline
 *
 * Two have no test: libmemcached asserts that some small allocations succeed, and libcrypto, which
 * hashes long keys, may crash when memory runs out while it sets itself up, in the first open.
 */
#ifndef LARDER_MEMCACHED_H
#define LARDER_MEMCACHED_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Source of the value limit: memcached's largest item is 1 MiB (-I), less 59 bytes of header, the
 * key (250) and the flags (4). */
/* clang-format off */
#define LARDER_MEMCACHED_COMMON_TABLE(NUMBER, STRING)                                                \
    STRING(SERVERS, servers, servers, "127.0.0.1:11211", NULL,                                       \
         "host:port, [IPv6]:port or /socket/path, each with *weight if need be, with commas "      \
         "between; or a libmemcached string (--SERVER=…)")                                         \
    NUMBER(DURATION, timeout, timeout_ms, 250, 1, 3600000,                                         \
           "how long a call waits; libmemcached keeps this per wait, not per call")                \
    NUMBER(DURATION, connect_timeout, connect_timeout_ms, 200, 1, 3600000,                         \
           "how long connecting may take, within the call's timeout")                              \
    NUMBER(DURATION, probe, probe_ms, 1000, 10, 3600000,                                           \
           "how often one call tries a server that is marked down")                                \
    NUMBER(SWITCH, binary, binary, 0, 0, 1,                                                        \
           "on: the binary protocol: counters take 64-bit deltas, and SASL works")                 \
    STRING(TEXT, distribution, distribution, "ketama", "ketama|ketama_weighted|modula",              \
         "how keys are spread; with weights ketama is the weighted one")                           \
    STRING(TEXT, hash, hash, "default",                                                              \
         "default|md5|crc|fnv1_64|fnv1a_64|fnv1_32|fnv1a_32|hsieh|murmur|jenkins|murmur3",         \
         "how keys are hashed, as libmemcached calls it; the weighted ketama always takes md5")    \
    NUMBER(SWITCH, nodelay, nodelay, 1, 0, 1, "TCP_NODELAY")                                       \
    NUMBER(SWITCH, keepalive, keepalive, 1, 0, 1, "TCP keep-alive, from 60 s of silence on")       \
    NUMBER(SWITCH, tags, tags, 0, 0, 1,                                                            \
           "on: the {tag} in a key places it, so that keys of one tag share a server")             \
    NUMBER(SWITCH, exclusive, exclusive, 0, 0, 1,                                                  \
           "on: nobody else uses these servers, so flush may empty them")                          \
    NUMBER(BYTES, value_max, value_max, 1048263, 1, 1073741824,                                    \
           "the longest value; give it when the servers run with another -I. Each server's real "  \
           "limit is asked as well. What append and prepend join may be longer than this")         \
    STRING(TEXT, sasl_user, sasl_user, NULL, NULL, "SASL user name; needs binary=on and TCP")        \
    STRING(SECRET, sasl_password, sasl_password, NULL, NULL, "SASL password: env:NAME or file:/path")

#define LARDER_MEMCACHED_OPTIONS_TABLE(NUMBER, STRING)                                               \
    LARDER_MEMCACHED_COMMON_TABLE(NUMBER, STRING)                                                    \
    NUMBER(COUNT, clients_max, clients_max, 1024, 1, 65536,                                        \
           "so many threads call at once at most; the next one is answered UNAVAILABLE")             \
    LARDER_METADATA_OPTION(STRING)

#define LARDER_POOLED_MEMCACHED_OPTIONS_TABLE(NUMBER, STRING)                                        \
    LARDER_MEMCACHED_COMMON_TABLE(NUMBER, STRING)                                                    \
    NUMBER(COUNT, size, size, 10, 1, 65536, "how many clients the pool has")                         \
    LARDER_METADATA_OPTION(STRING)
/* clang-format on */

/** Options of larder_memcached_open(). Start from LARDER_MEMCACHED_OPTIONS_INIT. */
struct larder_memcached_options {
    size_t struct_size;
    LARDER_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};
/** Options of larder_pooled_memcached_open(). Start from LARDER_POOLED_MEMCACHED_OPTIONS_INIT. */
struct larder_pooled_memcached_options {
    size_t struct_size;
    LARDER_POOLED_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};
/* clang-format off */
#define LARDER_MEMCACHED_OPTIONS_INIT \
    { sizeof(struct larder_memcached_options) \
      LARDER_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT) }
#define LARDER_POOLED_MEMCACHED_OPTIONS_INIT \
    { sizeof(struct larder_pooled_memcached_options) \
      LARDER_POOLED_MEMCACHED_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_TEXT_DEFAULT) }
/* clang-format on */

/**
 * Opens a cache on memcached servers. Parameters and result as larder_open(); UNSUPPORTED when the
 * libmemcached that is loaded is older than 1.1.4. A server that is down is no reason to fail. Host
 * names are resolved by a thread of their own: open waits for it for at most 100 ms, and until
 * there is an address, calls on that server are UNAVAILABLE. Addresses, "localhost" and sockets
 * need none.
 */
static inline LARDER_MUST_USE enum larder_status
larder_memcached_open(const struct larder_memcached_options *options,
                      const struct larder_open_options *open_options, struct larder_cache **cache,
                      char *message, size_t message_size)
{
    return larder_open_scheme("memcached", options, open_options, cache, message, message_size);
}

/** The same with a pool of `size` clients; a call or a session that finds none free waits for one
 * by its deadline, first come, first served. */
static inline LARDER_MUST_USE enum larder_status
larder_pooled_memcached_open(const struct larder_pooled_memcached_options *options,
                             const struct larder_open_options *open_options,
                             struct larder_cache **cache, char *message, size_t message_size)
{
    return larder_open_scheme("pooled-memcached", options, open_options, cache, message,
                              message_size);
}

/** Static builds, which have no module folder: makes both backends known. Links the component
 * larder::memcached. @return OK or NO_MEMORY; any number of times */
LARDER_API enum larder_status larder_memcached_register(void);

#ifdef __cplusplus
}
#endif

#endif
