/* What the options say, read once at open. */
#ifndef MEMCACHED_CONFIG_H
#define MEMCACHED_CONFIG_H

#include <libmemcached/memcached.h>

#include <larder/memcached.h>
#include <larder/util/servers.h>

/* The options that both backends have. */
struct common_options {
    LARDER_MEMCACHED_COMMON_TABLE(LARDER_NUMBER_FIELD, LARDER_TEXT_FIELD)
};

/* Copies them out of either backend's struct. */
#define COMMON_COPY_NUMBER(type, name, field, value, smallest, largest, sentence) \
    .field = options->field,
#define COMMON_COPY_TEXT(type, name, field, value, choices, sentence) .field = options->field,
#define COMMON_OPTIONS_OF(options)                                          \
    {                                                                       \
        LARDER_MEMCACHED_COMMON_TABLE(COMMON_COPY_NUMBER, COMMON_COPY_TEXT) \
    }

struct config {
    size_t server_count;
    struct larder_server servers[LARDER_SERVERS_MAX];
    uint64_t timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t probe_ms;
    uint64_t value_max;
    uint64_t keepidle_s;
    int binary;
    int nodelay;
    int keepalive;
    int tags;
    int exclusive;
    int weighted; /* ketama with libmemcached's weights and MD5 */
    memcached_server_distribution_t distribution;
    memcached_hash_t hash;
    char *sasl_user;     /* NULL: no SASL */
    char *sasl_password; /* wiped when freed */
};

/** Reads the options. @return OK; BAD_ARGUMENT with a message; NO_MEMORY */
enum larder_status config_read(struct config *config, const struct common_options *options,
                               const struct larder_message *message);
void config_clean_up(struct config *config);

/** Reads a libmemcached configuration string over what the options said. */
enum larder_status config_read_string(struct config *config, const char *text,
                                      const struct larder_message *message);

/** Finds a hash by name ("md5", in any case; `length` bytes). @return 1 or 0 */
int config_hash(const char *name, size_t length, memcached_hash_t *hash);

#endif
