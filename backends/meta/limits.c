/*
 * How large a value a server takes, and TTLs as it takes them. memcached drops the old value when
 * it refuses a new one, so what is too large is never sent: each server is asked for its largest
 * item before the first store that could be too large for any server, and again after it was away.
 */
#include "meta.h"

#include <string.h>
#include <time.h>

#include <larder/util/counter.h>

/* Source: measured on memcached 1.6.18; exact for keys of 1 to 250 bytes. */
#define ITEM_HEADER_BYTES 59u
#define ITEM_FLAGS_BYTES 4u
/* The smallest -I that memcached takes, so no server need be asked about less. */
#define ITEM_MAX_SMALLEST 1024u
#define ITEM_MAX_DEFAULT 1048576u

struct settings_question {
    struct question question;
    uint64_t item_max;
};

static int take_setting(struct question *question, const struct larder_meta_reply *reply,
                        void **sink, size_t *sink_size)
{
    static const char wanted[] = "item_size_max ";
    struct settings_question *settings = (struct settings_question *)(void *)question;
    const char *text = reply->text.data;
    size_t length = sizeof(wanted) - 1;
    (void)sink;
    (void)sink_size;
    if (reply->code == LARDER_META_CLASSIC_END) {
        question->exchange.due = 1;
        question->status = LARDER_OK;
        return 1;
    }
    if (reply->code != LARDER_META_CLASSIC_STAT)
        return 0;
    if (reply->text.length > length && memcmp(text, wanted, length) == 0 &&
        !larder_counter_parse(larder_bytes(text + length, reply->text.length - length),
                              &settings->item_max))
        return 0;
    return 1;
}

static enum larder_status site_item_max(struct call *call, struct site *site, uint64_t *item_max)
{
    *item_max = atomic_load_explicit(&site->item_max, memory_order_relaxed);
    if (*item_max != 0)
        return LARDER_OK;
    struct settings_question settings = {
        .question = {
            .answer = take_setting, .is_read = 1, .is_list = 1, .text = "stats settings\r\n"}};
    enum larder_status status = meta_ask(call, site, &settings.question);
    if (status != LARDER_OK)
        return status;
    /* A proxy may not say. */
    *item_max = settings.item_max != 0 ? settings.item_max : ITEM_MAX_DEFAULT;
    atomic_store_explicit(&site->item_max, *item_max, memory_order_relaxed);
    return LARDER_OK;
}

enum larder_status meta_limit_check(struct call *call, struct site *site, struct larder_slice wire,
                                    size_t length, uint32_t flags)
{
    uint64_t item_max;
    uint64_t item = ITEM_HEADER_BYTES + wire.length + length + (flags != 0 ? ITEM_FLAGS_BYTES : 0);
    if (item <= ITEM_MAX_SMALLEST)
        return LARDER_OK;
    enum larder_status status = site_item_max(call, site, &item_max);
    if (status != LARDER_OK)
        return status;
    return item > item_max ? LARDER_TOO_LARGE : LARDER_OK;
}

/* ---- TTLs ---------------------------------------------------------------------------------- */

#define MS_PER_SECOND 1000
#define RELATIVE_MAX_S 2592000

/* Seconds, relative up to 30 days, beyond that the wall clock's time. The server's clock ticks once
 * a second and an entry dies with a tick, so an exptime of n lives more than n - 1 and at most n
 * seconds; hence one more. Source: memcached's doc/protocol.txt, "Expiration times". */
static int32_t exptime_of(int64_t seconds)
{
    if (seconds <= RELATIVE_MAX_S)
        return (int32_t)seconds;
    int64_t now_s = (int64_t)time(NULL);
    if (seconds <= INT32_MAX - now_s)
        return (int32_t)(now_s + seconds);
    /* Past the server's last second: that second, or while it is near the longest relative time. */
    return now_s < INT32_MAX - RELATIVE_MAX_S ? INT32_MAX : RELATIVE_MAX_S;
}

int32_t meta_exptime_from_now(int64_t ttl_ms)
{
    if (ttl_ms == LARDER_TTL_FOREVER)
        return 0;
    return exptime_of(ttl_ms / MS_PER_SECOND + (ttl_ms % MS_PER_SECOND != 0) + 1);
}

int32_t meta_exptime_of_left(int64_t ttl_s)
{
    if (ttl_s < 0)
        return 0;
    return ttl_s == 0 ? 1 : exptime_of(ttl_s); /* 0 would be for ever */
}
