#include "watched_memory.h"

#include "support.h"

#include <larder/memory.h>

struct larder_cache *watch(struct larder_cache *inner, const struct larder_observer *observer)
{
    struct larder_cache *cache = NULL;
    assert_status(LARDER_OK, larder_observed_open(inner, observer, NULL, &cache, NULL, 0));
    return cache;
}

struct larder_cache *watched_memory_open(struct larder_clock clock, struct larder_faults **faults,
                                         struct larder_recording **log)
{
    struct larder_open_options open = LARDER_OPEN_OPTIONS_INIT;
    struct larder_cache *cache = NULL;
    open.clock = clock;
    *faults = larder_faults_new(1);
    *log = larder_recording_new(0, 64, NULL);
    assert_non_null(*faults);
    assert_non_null(*log);
    assert_status(LARDER_OK, larder_memory_open(NULL, &open, &cache, NULL, 0));
    return watch(watch(cache, larder_faults_observer(*faults)), larder_recording_observer(*log));
}

void answer(struct larder_faults *faults, uint32_t operations, enum larder_status status)
{
    struct larder_fault fault = LARDER_FAULT_INIT;
    fault.match.operations = operations;
    fault.status = status;
    assert_status(LARDER_OK, larder_faults_add(faults, &fault));
}

size_t asked(struct larder_recording *log, uint32_t operations, const char *key)
{
    const struct larder_match match = larder_match_of(operations, key, LARDER_ANY_STATUS);
    return larder_recording_count(log, &match);
}
