#include "scripted_backend.h"

#include <stdio.h>
#include <string.h>

#include <larder/util/message.h>

struct scripted_record scripted;

void scripted_reset(void)
{
    memset(&scripted, 0, sizeof(scripted));
}

static enum larder_status scripted_read(const struct larder_scope *scope, struct larder_slice key,
                                        void *buffer, size_t size, struct larder_info *info)
{
    (void)scope, (void)key, (void)buffer, (void)size, (void)info;
    return LARDER_UNAVAILABLE;
}

static enum larder_status scripted_store(const struct larder_scope *scope, enum larder_mode mode,
                                         struct larder_slice key, const struct larder_write *write,
                                         uint64_t *version)
{
    (void)scope, (void)mode, (void)key, (void)write, (void)version;
    return LARDER_UNAVAILABLE;
}

static enum larder_status scripted_remove(const struct larder_scope *scope, struct larder_slice key,
                                          uint64_t version)
{
    (void)scope, (void)key, (void)version;
    return LARDER_UNAVAILABLE;
}

static const struct larder_traits *scripted_traits(const void *self)
{
    static const struct larder_traits traits = {.size = sizeof(traits), .value_max = 1024};
    (void)self;
    return &traits;
}

static void scripted_close(void *self)
{
    (void)self;
    scripted.closed++;
}

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static enum larder_status scripted_open(const struct larder_host *host, const void *given,
                                        struct larder_message *message, void **self)
{
    const struct scripted_options *options = given;
    (void)host;
    if (scripted.opened + 1 == scripted.fail_open_number)
        return larder_fail(message, LARDER_UNSUPPORTED, "servers: the script says no");
    scripted.opened++;
    scripted.room_bytes = options->room_bytes;
    scripted.patience_ms = options->patience_ms;
    scripted.hands = options->hands;
    scripted.polite = options->polite;
    copy(scripted.servers, sizeof(scripted.servers), options->servers);
    copy(scripted.mood, sizeof(scripted.mood), options->mood);
    copy(scripted.note, sizeof(scripted.note), options->note);
    copy(scripted.password, sizeof(scripted.password), options->password);
    *self = &scripted;
    return LARDER_OK;
}

static const struct larder_ops scripted_ops = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_ops),
    .name = "scripted",
    .read = scripted_read,
    .store = scripted_store,
    .remove = scripted_remove,
    .traits = scripted_traits,
    .close = scripted_close,
};

#define LARDER_OPTIONS_STRUCT struct scripted_options
static const struct larder_option scripted_rows[] = {
    SCRIPTED_OPTIONS_TABLE(LARDER_NUMBER_ROW, LARDER_TEXT_ROW)};

const struct larder_backend scripted_backend = {
    .version = LARDER_BACKEND_VERSION,
    .size = sizeof(struct larder_backend),
    .scheme = "scripted",
    .sentence = "writes down what it was opened with",
    .ops = &scripted_ops,
    .open = scripted_open,
    .options = scripted_rows,
    .option_count = sizeof(scripted_rows) / sizeof(scripted_rows[0]),
    .options_size = sizeof(struct scripted_options),
};
