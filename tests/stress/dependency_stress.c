/*
 * Sets under masters race with deletes of those masters, on a cache that evicts nothing: after a
 * last delete no key may be there, and after every delete none that was wired before it began.
 */
#include <larder/dependency.h>

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SETTERS 6u
#define DELETERS 2u
#define SETS_PER_DELETE 10u /* of one setter: masters must not fill up while no deleter runs */
#define DELETES 400u        /* of one deleter */
#define MASTERS 2u

static struct larder_cache *cache;

/* Written by one setter each, read after it was joined. */
static struct setter {
    pthread_t thread;
    unsigned number;
    unsigned tried;
    unsigned kept;       /* sets that were OK */
    unsigned unexpected; /* neither OK nor CONFLICT */
    unsigned found;      /* not OK, and yet the key was there */
} setters[SETTERS];

/* Written by one deleter each, read after it was joined. */
static struct deleter {
    pthread_t thread;
    unsigned number;
    unsigned deletes;
    unsigned overtaken; /* CONFLICT */
    unsigned unexpected;
    unsigned escaped; /* a key of its own that outlived its own delete */
    uint64_t dropped;
    uint64_t rounds;
} deleters[DELETERS];

/* By all deleters. Counted with release; the acquire in the setters' loop pairs with it. */
static atomic_uint deletes_done;

static struct larder_slice master_of(unsigned number)
{
    static const char *const names[MASTERS] = {"m", "m1"};
    return larder_text(names[number % MASTERS]);
}

static enum larder_status set_key(const char *name)
{
    struct larder_slice masters[MASTERS] = {master_of(0), master_of(1)};
    struct larder_write write = larder_write_of(larder_text("value"), LARDER_TTL_FOREVER);
    return larder_dependency_set(cache, larder_text(name), &write, masters, MASTERS,
                                 LARDER_TTL_FOREVER);
}

static int lives(const char *name)
{
    return larder_read(cache, larder_text(name), NULL, 0, NULL) != LARDER_MISS;
}

static void name_key(char name[32], const char *whose, unsigned number, unsigned i)
{
    snprintf(name, 32, "%s %u key %u", whose, number, i);
}

static void set_once(struct setter *setter)
{
    char name[32];
    name_key(name, "setter", setter->number, setter->tried++);
    enum larder_status status = set_key(name);
    setter->kept += status == LARDER_OK;
    if (status != LARDER_OK && status != LARDER_CONFLICT)
        setter->unexpected++;
    if (status != LARDER_OK && lives(name))
        setter->found++;
}

static void *run_setter(void *argument)
{
    struct setter *setter = argument;
    unsigned done = 0;
    while (done < DELETERS * DELETES) {
        done = atomic_load_explicit(&deletes_done, memory_order_acquire);
        if (setter->tried < (done + 1) * SETS_PER_DELETE)
            set_once(setter);
        else
            sched_yield();
    }
    return NULL;
}

/* Sets a key of its own, then deletes a master of it: the key must be gone, whatever others do. */
static void delete_once(struct deleter *deleter)
{
    struct larder_dependency_result result;
    char name[32];
    name_key(name, "deleter", deleter->number, deleter->deletes);
    enum larder_status set = set_key(name);
    enum larder_status status =
        larder_dependency_delete(cache, master_of(deleter->deletes), &result);
    deleter->deletes++;
    deleter->dropped += result.dropped;
    deleter->rounds += result.rounds;
    deleter->overtaken += status == LARDER_CONFLICT;
    if ((set != LARDER_OK && set != LARDER_CONFLICT) ||
        (status != LARDER_OK && status != LARDER_CONFLICT))
        deleter->unexpected++;
    if (lives(name) && result.lost == 0)
        deleter->escaped++;
}

static void *run_deleter(void *argument)
{
    struct deleter *deleter = argument;
    while (deleter->deletes < DELETES) {
        delete_once(deleter);
        atomic_fetch_add_explicit(&deletes_done, 1, memory_order_release);
    }
    return NULL;
}

static void start_all(void)
{
    for (unsigned i = 0; i < SETTERS; i++) {
        setters[i].number = i;
        assert_int_equal(pthread_create(&setters[i].thread, NULL, run_setter, &setters[i]), 0);
    }
    for (unsigned i = 0; i < DELETERS; i++) {
        deleters[i].number = i;
        assert_int_equal(pthread_create(&deleters[i].thread, NULL, run_deleter, &deleters[i]), 0);
    }
}

static void join_all(void)
{
    for (unsigned i = 0; i < SETTERS; i++)
        assert_int_equal(pthread_join(setters[i].thread, NULL), 0);
    for (unsigned i = 0; i < DELETERS; i++)
        assert_int_equal(pthread_join(deleters[i].thread, NULL), 0);
}

static unsigned count_alive(const char *whose, unsigned number, unsigned count)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        name_key(name, whose, number, i);
        alive += (unsigned)lives(name);
    }
    return alive;
}

static void assert_nobody_was_surprised(void)
{
    unsigned tried = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < SETTERS; i++) {
        assert_int_equal(setters[i].unexpected, 0);
        assert_int_equal(setters[i].found, 0);
        tried += setters[i].tried;
        kept += setters[i].kept;
    }
    for (unsigned i = 0; i < DELETERS; i++) {
        print_message("deleter %u: %u deletes, %u overtaken, %llu rounds, %llu dropped\n", i,
                      deleters[i].deletes, deleters[i].overtaken,
                      (unsigned long long)deleters[i].rounds,
                      (unsigned long long)deleters[i].dropped);
        assert_int_equal(deleters[i].unexpected, 0);
        assert_int_equal(deleters[i].escaped, 0);
    }
    print_message("%u of %u sets kept\n", kept, tried);
    assert_true(kept > 0);
}

static void no_wired_key_outlives_its_masters(void **state)
{
    (void)state;
    start_all();
    join_all();
    assert_nobody_was_surprised();
    assert_int_equal(larder_dependency_delete(cache, master_of(0), NULL), LARDER_OK);
    assert_int_equal(larder_dependency_delete(cache, master_of(1), NULL), LARDER_OK);
    for (unsigned i = 0; i < SETTERS; i++)
        assert_int_equal(count_alive("setter", i, setters[i].tried), 0);
    for (unsigned i = 0; i < DELETERS; i++)
        assert_int_equal(count_alive("deleter", i, deleters[i].deletes), 0);
}

static int set_up(void **state)
{
    (void)state;
    return larder_open("memory:?max_bytes=1G", NULL, &cache, NULL, 0) == LARDER_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    larder_close(cache);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_wired_key_outlives_its_masters, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
