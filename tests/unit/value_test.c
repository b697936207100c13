/* Values: blocks that were released are kept for the next ones, within limits. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <larder/util/thread.h>
#include <larder/util/value.h>

#include "sanitizer.h"

enum { CLASSES = LARDER_KEPT_CLASSES, KEPT_BLOCKS = 16 };

static const size_t class_bytes[CLASSES] = {48, 112, 240};

static struct larder_value value_of(size_t length, char fill)
{
    struct larder_value value = {0};
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    memset(bytes, fill, length);
    assert_int_equal(larder_value_copy(&value, bytes, length), LARDER_OK);
    assert_int_equal(value.bytes.length, length);
    assert_non_null(value.bytes.data);
    assert_memory_equal(value.bytes.data, bytes, length);
    free(bytes);
    return value;
}

static int start(void **state)
{
    (void)state;
    assert_non_null(larder_thread());
    larder_values_trim();
    return 0;
}

static void any_length_is_copied_whole(void **state)
{
    struct larder_value value = {0}, other = {0};
    (void)state;
    for (size_t length = 0; length < 3 * class_bytes[CLASSES - 1]; length++) {
        value = value_of(length, 'a');
        other = value_of(length, 'b');
        assert_ptr_not_equal(value.owner, other.owner);
        const char *bytes = value.bytes.data; /* the second has left the first alone */
        for (size_t i = 0; i < length; i++)
            assert_int_equal(bytes[i], 'a');
        larder_value_release(&value);
        larder_value_release(&other);
    }
}

/* @return the size class; CLASSES: none */
static int class_that_keeps(size_t length)
{
    int found = CLASSES;
    larder_values_trim();
    struct larder_value value = value_of(length, 'a');
    larder_value_release(&value);
    for (int size_class = 0; size_class < CLASSES; size_class++)
        if (larder_thread()->kept_count[size_class] > 0)
            found = size_class;
    return found;
}

/* Under AddressSanitizer none is kept, here and below. */
static void a_block_is_kept_for_values_of_its_size(void **state)
{
    (void)state;
    for (int size_class = 0; size_class < CLASSES; size_class++) {
        int keeps = HAS_ADDRESS_SANITIZER ? CLASSES : size_class;
        int keeps_more = HAS_ADDRESS_SANITIZER ? CLASSES : size_class + 1;
        assert_int_equal(class_that_keeps(class_bytes[size_class] - 1), keeps);
        assert_int_equal(class_that_keeps(class_bytes[size_class]), keeps);
        assert_int_equal(class_that_keeps(class_bytes[size_class] + 1), keeps_more);
    }
}

static void a_block_that_is_kept_is_used_again(void **state)
{
    (void)state;
    struct larder_value value = value_of(100, 'a');
    const struct larder_owner *owner = value.owner;
    larder_value_release(&value);
    value = value_of(10, 'b');
    assert_ptr_not_equal(value.owner, owner);
    larder_value_release(&value);
    value = value_of(90, 'b');
    assert_int_equal(value.owner == owner, !HAS_ADDRESS_SANITIZER);
    larder_value_release(&value);
}

static uint32_t kept_after(uint32_t blocks)
{
    struct larder_value values[KEPT_BLOCKS + 1];
    larder_values_trim();
    for (uint32_t i = 0; i < blocks; i++)
        values[i] = value_of(100, (char)i);
    for (uint32_t i = 0; i < blocks; i++)
        larder_value_release(&values[i]);
    return larder_thread()->kept_count[1];
}

static void so_many_are_kept_and_no_more(void **state)
{
    (void)state;
    uint32_t most = HAS_ADDRESS_SANITIZER ? 0 : KEPT_BLOCKS;
    for (uint32_t blocks = KEPT_BLOCKS - 1; blocks <= KEPT_BLOCKS + 1; blocks++)
        assert_int_equal(kept_after(blocks), blocks < most ? blocks : most);
    larder_values_trim();
    assert_int_equal(larder_thread()->kept_count[1], 0);
    assert_null(larder_thread()->kept[1]);
}

static void closing_a_cache_frees_what_the_thread_keeps(void **state)
{
    struct larder_cache *cache;
    struct larder_value value = {0};
    (void)state;
    assert_int_equal(larder_open("memory:?max_bytes=1M", NULL, &cache, NULL, 0), LARDER_OK);
    assert_int_equal(larder_set(cache, larder_text("k"), larder_text("v"), 0), LARDER_OK);
    assert_int_equal(larder_get(cache, larder_text("k"), &value), LARDER_OK);
    larder_value_release(&value);
    assert_int_equal(larder_thread()->kept_count[0], !HAS_ADDRESS_SANITIZER);
    larder_close(cache);
    assert_int_equal(larder_thread()->kept_count[0], 0);
}

/* Two threads at once, so that the second has a record of its own. */
struct releaser {
    struct larder_value value;
    int has_record; /* else it has never called */
    struct larder_thread *record;
    uint32_t kept; /* by the record, before its thread exited */
};

static void *release(void *context)
{
    struct releaser *releaser = context;
    releaser->record = releaser->has_record ? larder_thread() : NULL;
    larder_value_release(&releaser->value);
    if (releaser->record != NULL)
        releaser->kept = releaser->record->kept_count[1];
    return NULL;
}

static void run_release(struct releaser *releaser)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release, releaser), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void who_releases_keeps_the_block_until_it_exits(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the second thread has the first one's record */
        struct releaser releaser = {.value = value_of(100, 'a'), .has_record = 1};
        run_release(&releaser);
        assert_int_equal(larder_thread()->kept_count[1], 0);
        assert_non_null(releaser.record);
        assert_int_equal(releaser.kept, !HAS_ADDRESS_SANITIZER);
        assert_int_equal(releaser.record->kept_count[1], 0);
        assert_null(releaser.record->kept[1]);
    }
}

/* A leak would be seen by AddressSanitizer. */
static void a_thread_that_never_called_may_release(void **state)
{
    struct releaser releaser = {.value = value_of(100, 'a')};
    (void)state;
    run_release(&releaser);
    assert_null(releaser.value.owner);
}

static struct larder_cache *busy; /* the child's */

static void *take_views(void *nothing)
{
    struct larder_value value = {0};
    (void)nothing;
    while (larder_get(busy, larder_text("k"), &value) == LARDER_OK)
        larder_value_release(&value);
    return NULL;
}

static void exit_beside_threads(void)
{
    pthread_t thread;
    struct timespec a_while = {0, 2000000};
    if (larder_open("memory:?max_bytes=1M", NULL, &busy, NULL, 0) != LARDER_OK ||
        larder_set(busy, larder_text("k"), larder_text("v"), 0) != LARDER_OK)
        _exit(1);
    for (int i = 0; i < 3; i++)
        if (pthread_create(&thread, NULL, take_views, NULL) != 0 || pthread_detach(thread) != 0)
            _exit(2);
    nanosleep(&a_while, NULL);
    exit(0);
}

/* The library's destructor runs then, and the threads go on until the process is gone. */
static void an_exit_leaves_threads_what_they_keep(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        int ended = -1;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            exit_beside_threads();
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_int_equal(ended, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(any_length_is_copied_whole, start),
        cmocka_unit_test_setup(a_block_is_kept_for_values_of_its_size, start),
        cmocka_unit_test_setup(a_block_that_is_kept_is_used_again, start),
        cmocka_unit_test_setup(so_many_are_kept_and_no_more, start),
        cmocka_unit_test_setup(closing_a_cache_frees_what_the_thread_keeps, start),
        cmocka_unit_test_setup(who_releases_keeps_the_block_until_it_exits, start),
        cmocka_unit_test_setup(a_thread_that_never_called_may_release, start),
        cmocka_unit_test_setup(an_exit_leaves_threads_what_they_keep, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
