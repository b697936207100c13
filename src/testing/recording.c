/*
 * Logs calls. An entry is complete before it is in the log and never changes there, so that it can
 * be read without the lock until the log is emptied.
 */
#include <larder/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <larder/util/deadline.h>

#include "hold.h"
#include "match.h"

#define ENTRIES_DEFAULT 10000u

struct larder_recording {
    struct larder_observer observer; /* set in new(), then only read, as are the next three */
    struct larder_clock clock;
    size_t entries_max;
    size_t value_bytes_max;
    struct hold hold;
    struct {                           /* touched only while holding `hold` */
        struct larder_entry **entries; /* entries_max of them */
        size_t count;
        uint64_t lost;
    } guarded;
};

/* ---- writing ------------------------------------------------------------------------------- */

/* Moves the bytes of a slice to `*free_bytes`. */
static struct larder_slice keep(struct larder_slice bytes, unsigned char **free_bytes)
{
    unsigned char *kept = *free_bytes;
    if (bytes.length > 0)
        memcpy(kept, bytes.data, bytes.length);
    *free_bytes += bytes.length;
    return larder_bytes(kept, bytes.length);
}

static struct larder_entry *entry_new(const struct larder_recording *recording,
                                      const struct larder_observed *call)
{
    struct larder_slice value = call->value;
    if (value.length > recording->value_bytes_max)
        value.length = recording->value_bytes_max;
    struct larder_entry *entry =
        malloc(sizeof(*entry) + call->name_space.length + call->key.length + value.length);
    if (entry == NULL)
        return NULL;
    unsigned char *bytes = (unsigned char *)(entry + 1);
    entry->call = *call;
    entry->call.name_space = keep(call->name_space, &bytes);
    entry->call.key = keep(call->key, &bytes);
    entry->call.value = keep(value, &bytes);
    return entry;
}

static void recording_after(void *context, struct larder_observed *call)
{
    struct larder_recording *recording = context;
    struct larder_entry *entry = entry_new(recording, call);
    if (entry != NULL)
        entry->time_ns = recording->clock.now_ns(recording->clock.context);
    pthread_mutex_lock(&recording->hold.mutex);
    if (entry != NULL && recording->guarded.count < recording->entries_max) {
        recording->guarded.entries[recording->guarded.count++] = entry;
        entry = NULL;
    } else {
        recording->guarded.lost++;
    }
    pthread_mutex_unlock(&recording->hold.mutex);
    free(entry);
}

/* ---- asking -------------------------------------------------------------------------------- */

const struct larder_entry *larder_recording_at(struct larder_recording *recording, size_t n)
{
    pthread_mutex_lock(&recording->hold.mutex);
    const struct larder_entry *entry =
        n < recording->guarded.count ? recording->guarded.entries[n] : NULL;
    pthread_mutex_unlock(&recording->hold.mutex);
    return entry;
}

static size_t find_locked(const struct larder_recording *recording,
                          const struct larder_match *match, size_t from)
{
    for (size_t i = from; i < recording->guarded.count; i++)
        if (larder__match(match, &recording->guarded.entries[i]->call))
            return i;
    return LARDER_NOT_RECORDED;
}

size_t larder_recording_find(struct larder_recording *recording, const struct larder_match *match,
                             size_t from)
{
    pthread_mutex_lock(&recording->hold.mutex);
    size_t found = find_locked(recording, match, from);
    pthread_mutex_unlock(&recording->hold.mutex);
    return found;
}

size_t larder_recording_count(struct larder_recording *recording, const struct larder_match *match)
{
    size_t count = 0;
    pthread_mutex_lock(&recording->hold.mutex);
    for (size_t i = 0; i < recording->guarded.count; i++)
        count += larder__match(match, &recording->guarded.entries[i]->call) ? 1 : 0;
    pthread_mutex_unlock(&recording->hold.mutex);
    return count;
}

size_t larder_recording_in_order(struct larder_recording *recording,
                                 const struct larder_match *matches, size_t count)
{
    size_t found = 0, from = 0;
    pthread_mutex_lock(&recording->hold.mutex);
    while (found < count) {
        size_t at = find_locked(recording, &matches[found], from);
        if (at == LARDER_NOT_RECORDED)
            break;
        from = at + 1;
        found++;
    }
    pthread_mutex_unlock(&recording->hold.mutex);
    return found;
}

uint64_t larder_recording_lost(struct larder_recording *recording)
{
    pthread_mutex_lock(&recording->hold.mutex);
    uint64_t lost = recording->guarded.lost;
    pthread_mutex_unlock(&recording->hold.mutex);
    return lost;
}

/* ---- printing ------------------------------------------------------------------------------ */

struct writer {
    char *text;
    size_t size;
    size_t length; /* of the whole, whatever fits */
};

static void put(struct writer *writer, const char *text)
{
    for (; *text != '\0'; text++) {
        if (writer->length + 1 < writer->size) {
            writer->text[writer->length] = *text;
            writer->text[writer->length + 1] = '\0';
        }
        writer->length++;
    }
}

static void put_bytes(struct writer *writer, struct larder_slice bytes)
{
    const unsigned char *byte = bytes.data;
    put(writer, "\"");
    for (size_t i = 0; i < bytes.length; i++) {
        char shown[8];
        int plain = byte[i] >= 0x20 && byte[i] < 0x7f && byte[i] != '"' && byte[i] != '\\';
        snprintf(shown, sizeof(shown), plain ? "%c" : "\\x%02x", byte[i]);
        put(writer, shown);
    }
    put(writer, "\"");
}

static const char *verb_of(const struct larder_observed *call)
{
    static const char *const operations[] = {
#define OPERATION_NAME(name, text) #text,
        LARDER_OPERATION_TABLE(OPERATION_NAME)
#undef OPERATION_NAME
    };
    static const char *const modes[] = {"set", "add", "replace", "append", "prepend", "cas"};
    return call->operation == LARDER_OPERATION_STORE ? modes[call->mode]
                                                     : operations[call->operation];
}

static void put_call(struct writer *writer, const struct larder_observed *call)
{
    char number[64];
    put(writer, verb_of(call));
    put(writer, call->form == LARDER_FORM_SINGLE      ? " "
                : call->form == LARDER_FORM_FIRST_ROW ? "_multi "
                                                      : "_multi... ");
    if (call->name_space.length > 0) {
        put_bytes(writer, call->name_space);
        put(writer, ":");
    }
    put_bytes(writer, call->key);
    put(writer, " ");
    put(writer, larder_status_name(call->status));
    if (call->ttl_ms != 0) {
        snprintf(number, sizeof(number), " ttl %lld ms", (long long)call->ttl_ms);
        put(writer, number);
    }
    if (call->value_length > 0) {
        snprintf(number, sizeof(number), " %zu bytes", call->value_length);
        put(writer, number);
    }
    if (call->value.length > 0) {
        put(writer, " ");
        put_bytes(writer, call->value);
    }
    put(writer, "\n");
}

/* Times are shown from the first entry on. */
static void put_log_locked(struct writer *writer, const struct larder_recording *recording)
{
    char start[64];
    for (size_t i = 0; i < recording->guarded.count; i++) {
        const struct larder_entry *entry = recording->guarded.entries[i];
        int64_t microseconds =
            (int64_t)(entry->time_ns - recording->guarded.entries[0]->time_ns) / 1000;
        snprintf(start, sizeof(start), "%zu: %.3f ms ", i, (double)microseconds / 1000);
        put(writer, start);
        put_call(writer, &entry->call);
    }
    if (recording->guarded.lost > 0) {
        snprintf(start, sizeof(start), "%llu more calls are lost\n",
                 (unsigned long long)recording->guarded.lost);
        put(writer, start);
    }
}

size_t larder_recording_format(struct larder_recording *recording, char *text, size_t size)
{
    struct writer writer = {text, size, 0};
    if (size > 0)
        text[0] = '\0';
    pthread_mutex_lock(&recording->hold.mutex);
    put_log_locked(&writer, recording);
    pthread_mutex_unlock(&recording->hold.mutex);
    return writer.length;
}

/* ---- life ---------------------------------------------------------------------------------- */

static uint64_t monotonic_now_ns(void *context)
{
    (void)context;
    return larder_monotonic_ns();
}

static void recording_hold(void *context, int held)
{
    larder__hold(&((struct larder_recording *)context)->hold, held);
}

static int recording_init(struct larder_recording *recording, size_t entries_max)
{
    recording->entries_max = entries_max;
    recording->guarded.entries = calloc(entries_max, sizeof(*recording->guarded.entries));
    if (recording->guarded.entries == NULL)
        return 0;
    if (larder__hold_init(&recording->hold))
        return 1;
    free(recording->guarded.entries);
    return 0;
}

struct larder_recording *larder_recording_new(size_t entries_max, size_t value_bytes_max,
                                              const struct larder_clock *clock)
{
    const struct larder_clock monotonic = {monotonic_now_ns, NULL};
    if (entries_max > LARDER_RECORDING_ENTRIES_MAX)
        return NULL;
    struct larder_recording *recording = calloc(1, sizeof(*recording));
    if (recording == NULL)
        return NULL;
    if (!recording_init(recording, entries_max != 0 ? entries_max : ENTRIES_DEFAULT)) {
        free(recording);
        return NULL;
    }
    recording->value_bytes_max = value_bytes_max;
    recording->clock = clock != NULL && clock->now_ns != NULL ? *clock : monotonic;
    recording->observer.struct_size = sizeof(recording->observer);
    recording->observer.name = "recording";
    recording->observer.context = recording;
    recording->observer.after = recording_after;
    recording->observer.hold = recording_hold;
    return recording;
}

const struct larder_observer *larder_recording_observer(const struct larder_recording *recording)
{
    return &recording->observer;
}

void larder_recording_reset(struct larder_recording *recording)
{
    pthread_mutex_lock(&recording->hold.mutex);
    for (size_t i = 0; i < recording->guarded.count; i++)
        free(recording->guarded.entries[i]);
    recording->guarded.count = 0;
    recording->guarded.lost = 0;
    pthread_mutex_unlock(&recording->hold.mutex);
}

void larder_recording_free(struct larder_recording *recording)
{
    if (recording == NULL)
        return;
    larder_recording_reset(recording);
    larder__hold_clean_up(&recording->hold);
    free(recording->guarded.entries);
    free(recording);
}
