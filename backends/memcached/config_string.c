/*
 * libmemcached configuration strings, "--SERVER=host:port/?weight --BINARY-PROTOCOL": what fits the
 * contract is taken over, what would break it is refused by name. Our own reading, so that nothing
 * reaches libmemcached that this table does not know.
 */
#include "config.h"

#include <string.h>
#include <strings.h>

#include <larder/util/message.h>

/* A part of the string. */
struct word {
    const char *start;
    size_t length;
};

#define QUOTE(word) (int)((word).length < 80 ? (word).length : 80), (word).start

static int word_is(struct word word, const char *text)
{
    return word.length == strlen(text) && strncasecmp(word.start, text, word.length) == 0;
}

typedef enum larder_status setting_fn(struct config *config, struct word value,
                                      const struct larder_message *message);

/* ---- what is taken over -------------------------------------------------------------------- */

static enum larder_status read_number(struct word value, uint64_t smallest, uint64_t largest,
                                      uint64_t *number, const struct larder_message *message)
{
    uint64_t sum = 0;
    int good = value.length > 0 && value.length <= 9;
    for (size_t i = 0; good && i < value.length; i++) {
        good = value.start[i] >= '0' && value.start[i] <= '9';
        sum = sum * 10 + (uint64_t)(value.start[i] - '0');
    }
    if (!good || sum < smallest || sum > largest)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "\"%.*s\" is no number from %llu to %llu",
                           QUOTE(value), (unsigned long long)smallest, (unsigned long long)largest);
    *number = sum;
    return LARDER_OK;
}

/* Splits "/?weight" off. */
static enum larder_status take_weight(struct word *value, uint64_t *weight,
                                      const struct larder_message *message)
{
    *weight = 1;
    for (size_t i = 0; i + 1 < value->length; i++) {
        if (value->start[i] != '/' || value->start[i + 1] != '?')
            continue;
        struct word digits = {value->start + i + 2, value->length - i - 2};
        value->length = i;
        return read_number(digits, 1, LARDER_SERVER_WEIGHT_MAX, weight, message);
    }
    return LARDER_OK;
}

static enum larder_status add_server(struct config *config, struct word value,
                                     const struct larder_message *message)
{
    struct larder_server server;
    uint64_t weight;
    enum larder_status status = take_weight(&value, &weight, message);
    if (status == LARDER_OK)
        status = larder_server_parse(value.start, value.length, &server, message);
    if (status != LARDER_OK)
        return status;
    if (weight > 1)
        server.weight = (uint32_t)weight;
    return larder_servers_add(config->servers, &config->server_count, &server, message);
}

static enum larder_status set_socket(struct config *config, struct word value,
                                     const struct larder_message *message)
{
    if (value.length == 0 || value.start[0] != '/')
        return larder_fail(message, LARDER_BAD_ARGUMENT, "a socket is a path that starts with '/'");
    return add_server(config, value, message);
}

static enum larder_status set_binary(struct config *config, struct word value,
                                     const struct larder_message *message)
{
    (void)value, (void)message;
    config->binary = 1;
    return LARDER_OK;
}

static enum larder_status set_nodelay(struct config *config, struct word value,
                                      const struct larder_message *message)
{
    (void)value, (void)message;
    config->nodelay = 1;
    return LARDER_OK;
}

static enum larder_status set_keepalive(struct config *config, struct word value,
                                        const struct larder_message *message)
{
    (void)value, (void)message;
    config->keepalive = 1;
    return LARDER_OK;
}

static enum larder_status set_keepidle(struct config *config, struct word value,
                                       const struct larder_message *message)
{
    config->keepalive = 1;
    return read_number(value, 1, 32767, &config->keepidle_s, message);
}

static enum larder_status set_timeout(struct config *config, struct word value,
                                      const struct larder_message *message)
{
    return read_number(value, 1, 3600000, &config->timeout_ms, message);
}

static enum larder_status set_connect_timeout(struct config *config, struct word value,
                                              const struct larder_message *message)
{
    return read_number(value, 1, 3600000, &config->connect_timeout_ms, message);
}

static enum larder_status set_retry_timeout(struct config *config, struct word value,
                                            const struct larder_message *message)
{
    uint64_t seconds = 0;
    enum larder_status status = read_number(value, 1, 3600, &seconds, message);
    if (status == LARDER_OK)
        config->probe_ms = seconds * 1000;
    return status;
}

static enum larder_status set_hash(struct config *config, struct word value,
                                   const struct larder_message *message)
{
    if (config_hash(value.start, value.length, &config->hash))
        return LARDER_OK;
    return larder_fail(message, LARDER_BAD_ARGUMENT, "\"%.*s\" is no hash", QUOTE(value));
}

/* "consistent", "consistent,md5". */
static enum larder_status set_distribution(struct config *config, struct word value,
                                           const struct larder_message *message)
{
    const char *comma = memchr(value.start, ',', value.length);
    if (comma != NULL) {
        struct word hash = {comma + 1, value.length - (size_t)(comma - value.start) - 1};
        enum larder_status status = set_hash(config, hash, message);
        if (status != LARDER_OK)
            return status;
        value.length = (size_t)(comma - value.start);
    }
    if (word_is(value, "random"))
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "--DISTRIBUTION=random would never find a key again");
    if (word_is(value, "modula"))
        config->distribution = MEMCACHED_DISTRIBUTION_MODULA;
    else if (word_is(value, "consistent"))
        config->distribution = MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA;
    else
        return larder_fail(message, LARDER_BAD_ARGUMENT,
                           "\"%.*s\" is neither consistent nor modula", QUOTE(value));
    return LARDER_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

enum need { NO_VALUE, VALUE };

struct setting {
    const char *name;
    enum need need;
    setting_fn *set;    /* NULL: refused, or needless */
    const char *refuse; /* why it is refused; NULL: nothing has to be done for it */
};

static const struct setting settings[] = {
    {"SERVER", VALUE, add_server, NULL},
    {"SOCKET", VALUE, set_socket, NULL},
    {"BINARY-PROTOCOL", NO_VALUE, set_binary, NULL},
    {"TCP-NODELAY", NO_VALUE, set_nodelay, NULL},
    {"TCP-KEEPALIVE", NO_VALUE, set_keepalive, NULL},
    {"TCP-KEEPIDLE", VALUE, set_keepidle, NULL},
    {"POLL-TIMEOUT", VALUE, set_timeout, NULL},
    {"CONNECT-TIMEOUT", VALUE, set_connect_timeout, NULL},
    {"RETRY-TIMEOUT", VALUE, set_retry_timeout, NULL},
    {"HASH", VALUE, set_hash, NULL},
    {"DISTRIBUTION", VALUE, set_distribution, NULL},
    {"SUPPORT-CAS", NO_VALUE, NULL, NULL},   /* asked for by the call that needs it */
    {"FETCH-VERSION", NO_VALUE, NULL, NULL}, /* done with every connection */
    {"NAMESPACE", VALUE, NULL, "larder's client has namespaces, and checks the whole key"},
    {"HASH-WITH-NAMESPACE", NO_VALUE, NULL, "there is no namespace in libmemcached's sense"},
    {"BUFFER-REQUESTS", NO_VALUE, NULL, "a buffered write would be OK before it was sent"},
    {"NOREPLY", NO_VALUE, NULL, "a write without a reply would always be OK"},
    {"USE-UDP", NO_VALUE, NULL, "over UDP nothing can be read"},
    {"NUMBER-OF-REPLICAS", VALUE, NULL, "libmemcached's replicas are not kept equal; see mirror:"},
    {"RANDOMIZE-REPLICA-READ", NO_VALUE, NULL, "there are no replicas"},
    {"REMOVE-FAILED-SERVERS", VALUE, NULL,
     "keys that move away and back bring old values up again"},
    {"AUTO-EJECT-HOSTS", NO_VALUE, NULL, "keys that move away and back bring old values up again"},
    {"VERIFY-KEY", NO_VALUE, NULL, "larder checks keys itself, and takes every byte"},
    {"SORT-HOSTS", NO_VALUE, NULL, "list the servers in the order that they are to have"},
    {"CONFIGURE-FILE", VALUE, NULL, "settings are read from larder's own configuration"},
    {"USER-DATA", NO_VALUE, NULL, "it means nothing here"},
    {"POOL-MIN", VALUE, NULL, "say size= of pooled-memcached"},
    {"POOL-MAX", VALUE, NULL, "say size= of pooled-memcached"},
    {"SND-TIMEOUT", VALUE, NULL, "it does nothing on libmemcached's sockets; say timeout="},
    {"RCV-TIMEOUT", VALUE, NULL, "it does nothing on libmemcached's sockets; say timeout="},
    {"SOCKET-SEND-SIZE", VALUE, NULL, "the kernel sizes socket buffers better"},
    {"SOCKET-RECV-SIZE", VALUE, NULL, "the kernel sizes socket buffers better"},
    {"IO-BYTES-WATERMARK", VALUE, NULL, "it is of use to buffered requests only"},
    {"IO-MSG-WATERMARK", VALUE, NULL, "it is of use to buffered requests only"},
    {"IO-KEY-PREFETCH", VALUE, NULL, "it is of use to buffered requests only"},
};

static const struct setting *find_setting(struct word name)
{
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (word_is(name, settings[i].name))
            return &settings[i];
    return NULL;
}

static enum larder_status apply(struct config *config, struct word name, int has_value,
                                struct word value, const struct larder_message *message)
{
    const struct setting *setting = find_setting(name);
    if (setting == NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "libmemcached has no setting --%.*s",
                           QUOTE(name));
    if (setting->refuse != NULL)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "--%s is refused: %s", setting->name,
                           setting->refuse);
    if (has_value != (setting->need == VALUE))
        return larder_fail(message, LARDER_BAD_ARGUMENT, "--%s takes %s", setting->name,
                           setting->need == VALUE ? "a value: --NAME=value" : "no value");
    return setting->set != NULL ? setting->set(config, value, message) : LARDER_OK;
}

/* ---- words --------------------------------------------------------------------------------- */

static int is_space(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Takes a word off, up to a space; between quotes, what stands between them. */
static struct word take_value(const char **text)
{
    struct word value = {*text, 0};
    if (**text == '"') {
        value.start++;
        value.length = strcspn(value.start, "\"");
        *text = value.start + value.length;
        *text += **text == '"';
        return value;
    }
    value.length = strcspn(*text, " \t\r\n");
    *text += value.length;
    return value;
}

enum larder_status config_read_string(struct config *config, const char *text,
                                      const struct larder_message *message)
{
    enum larder_status status = LARDER_OK;
    while (status == LARDER_OK) {
        while (is_space(*text))
            text++;
        if (*text == '\0')
            break;
        if (strncmp(text, "--", 2) != 0)
            return larder_fail(message, LARDER_BAD_ARGUMENT,
                               "a setting starts with \"--\", not with \"%.20s\"", text);
        struct word value = {text, 0};
        struct word name = {text + 2, strcspn(text + 2, "= \t\r\n")};
        text = name.start + name.length;
        int has_value = *text == '=';
        if (has_value) {
            text++;
            value = take_value(&text);
        }
        status = apply(config, name, has_value, value, message);
    }
    if (status == LARDER_OK && config->server_count == 0)
        return larder_fail(message, LARDER_BAD_ARGUMENT, "a libmemcached string needs --SERVER=");
    return status;
}
