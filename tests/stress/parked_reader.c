#include "parked_reader.h"

#include <larder/util/deadline.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "visit.h"

struct parked_reader {
    struct larder_cache *cache;
    struct larder_slice key;
    pthread_t thread;
    sem_t stands; /* posted when it stands, or when the read is over */
    sem_t go_on;
    int stood;                 /* written before `stands` is posted, read after it was waited for */
    enum larder_status status; /* read after the join */
};

/* Who is to stand at this thread's next look at the clock. */
static _Thread_local struct parked_reader *about_to_park;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) /* EINTR */
        ;
}

static void stand(struct parked_reader *reader)
{
    reader->stood = 1;
    sem_post(&reader->stands);
    wait_for(&reader->go_on);
}

static uint64_t now_where_readers_park(void *context)
{
    struct parked_reader *reader = about_to_park;
    (void)context;
    uint64_t now_ns = larder_monotonic_ns();
    about_to_park = NULL;
    if (reader != NULL)
        stand(reader);
    return now_ns;
}

struct larder_clock parking_clock(void)
{
    struct larder_clock clock = {now_where_readers_park, NULL};
    return clock;
}

static void *read_and_park(void *argument)
{
    struct parked_reader *reader = argument;
    struct larder_value value = {0};
    about_to_park = reader;
    reader->status = larder_get(reader->cache, reader->key, &value);
    about_to_park = NULL;
    larder_value_release(&value);
    sem_post(&reader->stands);
    return NULL;
}

static struct parked_reader *start(struct larder_cache *cache, struct larder_slice key,
                                   void *(*read)(void *))
{
    struct parked_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        abort();
    reader->cache = cache;
    reader->key = key;
    sem_init(&reader->stands, 0, 0);
    sem_init(&reader->go_on, 0, 0);
    if (pthread_create(&reader->thread, NULL, read, reader) != 0)
        abort();
    wait_for(&reader->stands);
    if (reader->stood)
        return reader;
    (void)parked_reader_end(reader);
    return NULL;
}

struct parked_reader *parked_in_clock_start(struct larder_cache *cache, struct larder_slice key)
{
    return start(cache, key, read_and_park);
}

/* ---- inside of a read ----------------------------------------------------------------------- */

extern const struct larder_backend larder_memory_backend;

static uint64_t sum_of(const unsigned char *bytes, size_t length)
{
    uint64_t sum = length;
    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

/* Both sums are of the same bytes: OK when they are the same. */
static enum larder_status stand_at(struct parked_reader *reader, const struct item *item)
{
    struct larder_slice value = larder__item_value(item);
    uint64_t before = sum_of(value.data, value.length);
    size_t length = value.length;
    stand(reader);
    value = larder__item_value(item);
    return value.length == length && sum_of(value.data, length) == before ? LARDER_OK
                                                                          : LARDER_PROTOCOL;
}

static void *read_and_stand(void *argument)
{
    struct parked_reader *reader = argument;
    struct memory *memory;
    void *self;
    if (larder_backend_object(reader->cache, &larder_memory_backend, &self) != LARDER_OK)
        abort();
    memory = self;
    struct larder_thread *thread = larder_thread();
    struct key key = {.bytes = reader->key.data, .length = reader->key.length};
    key.hash = larder__hash(&memory->hash_key, key.bytes, key.length, 0);
    larder_epoch_enter(&memory->epoch, thread);
    const struct item *item =
        larder__index_find(larder__index_to_find(memory), &memory->arena, &key);
    reader->status = item != NULL ? stand_at(reader, item) : LARDER_MISS;
    larder_epoch_leave(thread);
    sem_post(&reader->stands);
    return NULL;
}

struct parked_reader *parked_in_read_start(struct larder_cache *cache, struct larder_slice key)
{
    return start(cache, key, read_and_stand);
}

enum larder_status parked_reader_end(struct parked_reader *reader)
{
    if (reader == NULL)
        return LARDER_CLOSED;
    sem_post(&reader->go_on);
    pthread_join(reader->thread, NULL);
    enum larder_status status = reader->status;
    sem_destroy(&reader->stands);
    sem_destroy(&reader->go_on);
    free(reader);
    return status;
}
