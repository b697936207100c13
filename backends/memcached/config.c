/* Options of both backends. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <larder/util/message.h>
#include <larder/util/secret.h>

#define KEEPIDLE_DEFAULT_S 60u
#define SECRET_BYTES_MAX 1024u

int config_hash(const char *name, size_t length, memcached_hash_t *hash)
{
    static const struct {
        const char *name;
        memcached_hash_t hash;
    } hashes[] = {
        {"default", MEMCACHED_HASH_DEFAULT},   {"md5", MEMCACHED_HASH_MD5},
        {"crc", MEMCACHED_HASH_CRC},           {"fnv1_64", MEMCACHED_HASH_FNV1_64},
        {"fnv1a_64", MEMCACHED_HASH_FNV1A_64}, {"fnv1_32", MEMCACHED_HASH_FNV1_32},
        {"fnv1a_32", MEMCACHED_HASH_FNV1A_32}, {"hsieh", MEMCACHED_HASH_HSIEH},
        {"murmur", MEMCACHED_HASH_MURMUR},     {"jenkins", MEMCACHED_HASH_JENKINS},
        {"murmur3", MEMCACHED_HASH_MURMUR3},
    };
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
        if (strlen(hashes[i].name) == length && strncasecmp(hashes[i].name, name, length) == 0) {
            *hash = hashes[i].hash;
            return 1;
        }
    return 0;
}

static void read_placement(struct config *config, const struct common_options *options)
{
    config->distribution = strcmp(options->distribution, "modula") == 0
                               ? MEMCACHED_DISTRIBUTION_MODULA
                               : MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA;
    config->weighted = strcmp(options->distribution, "ketama_weighted") == 0;
    config_hash(options->hash, strlen(options->hash), &config->hash);
}

static enum larder_status read_servers(struct config *config, const struct common_options *options,
                                       const struct larder_message *message)
{
    const char *text = options->servers;
    if (text != NULL && strncmp(text, "--", 2) == 0)
        return config_read_string(config, text, message);
    return larder_servers_parse(text, config->servers, &config->server_count, message);
}

/* ---- SASL ---------------------------------------------------------------------------------- */

static enum larder_status read_sasl(struct config *config, const struct common_options *options,
                                    const struct larder_message *message)
{
    if (options->sasl_user == NULL && options->sasl_password == NULL)
        return LARDER_OK;
    if (options->sasl_user == NULL || options->sasl_password == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "sasl_user and sasl_password go together");
    if (!config->binary)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "SASL needs binary=on");
    for (size_t i = 0; i < config->server_count; i++)
        if (larder_server_is_unix(&config->servers[i]))
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "libmemcached does not speak SASL on a Unix socket (%s)",
                               config->servers[i].host);
    config->sasl_user = strdup(options->sasl_user);
    if (config->sasl_user == NULL)
        return LARDER_NO_MEMORY;
    return larder_secret_read("sasl_password", options->sasl_password, SECRET_BYTES_MAX, message,
                              &config->sasl_password);
}

/* ---- all of it ----------------------------------------------------------------------------- */

enum larder_status config_read(struct config *config, const struct common_options *options,
                               const struct larder_message *message)
{
    *config = (struct config){
        .timeout_ms = options->timeout_ms,
        .connect_timeout_ms = options->connect_timeout_ms,
        .probe_ms = options->probe_ms,
        .value_max = options->value_max,
        .keepidle_s = KEEPIDLE_DEFAULT_S,
        .binary = options->binary != 0,
        .nodelay = options->nodelay != 0,
        .keepalive = options->keepalive != 0,
        .tags = options->tags != 0,
        .exclusive = options->exclusive != 0,
    };
    read_placement(config, options);
    enum larder_status status = read_servers(config, options, message);
    if (status == LARDER_OK)
        status = read_sasl(config, options, message);
    if (status != LARDER_OK)
        config_clean_up(config);
    return status;
}

void config_clean_up(struct config *config)
{
    larder_secret_free(config->sasl_password);
    free(config->sasl_user);
    config->sasl_password = NULL;
    config->sasl_user = NULL;
}
