/* Names across a fork, while the lookup of one is parked: the linker sends getaddrinfo() here. */
#include "../support/support.h"

#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/util/deadline.h>
#include <larder/util/resolver.h>

#define PATIENCE_MS 10000u

/* The child starts a thread after the fork of a process with several, as the library does. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "die_after_fork=0";
}

static _Atomic int parks; /* lookups wait for `go_on` */
static sem_t at_hand;     /* posted by each lookup that waits */
static sem_t go_on;

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found);

/* Every name is 127.0.0.1. */
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    (void)host;
    if (atomic_load(&parks)) {
        sem_post(&at_hand);
        while (sem_wait(&go_on) != 0)
            continue;
    }
    return __real_getaddrinfo("127.0.0.1", service, hints, found);
}

static struct larder_name *parked; /* its lookup is under way */
static struct larder_name *queued; /* waits behind it */

static int set_up(void **state)
{
    (void)state;
    sem_init(&at_hand, 0, 0);
    sem_init(&go_on, 0, 0);
    atomic_store(&parks, 1);
    parked = larder_name_resolve("parked.example");
    queued = larder_name_resolve("queued.example");
    assert_true(parked != NULL && queued != NULL);
    while (sem_wait(&at_hand) != 0)
        continue;
    return 0;
}

/* The parent's own lookups end as if there had been no fork. */
static int tear_down(void **state)
{
    char address[LARDER_ADDRESS_BYTES];
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    (void)state;
    atomic_store(&parks, 0);
    sem_post(&go_on);
    assert_int_equal(larder_name_wait(parked, deadline_ns, address), 1);
    assert_int_equal(larder_name_wait(queued, deadline_ns, address), 1);
    larder_name_release(parked);
    larder_name_release(queued);
    return 0;
}

static int is_found(struct larder_name *name)
{
    char address[LARDER_ADDRESS_BYTES] = "";
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    return larder_name_wait(name, deadline_ns, address) && strcmp(address, "127.0.0.1") == 0;
}

static int refresh_finds(struct larder_name *name)
{
    char address[LARDER_ADDRESS_BYTES] = "";
    uint64_t deadline_ns = larder_deadline_after(larder_monotonic_ns(), PATIENCE_MS);
    while (!larder_name_address(name, address) && larder_monotonic_ns() < deadline_ns)
        larder_name_refresh(name);
    return strcmp(address, "127.0.0.1") == 0;
}

/* In a child, whose lookups do not park. */
static void assert_in_child(int (*holds)(struct larder_name *name), struct larder_name *name)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        atomic_store(&parks, 0);
        _exit(holds(name) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_child_asks_again_for_the_name_that_was_being_looked_up(void **state)
{
    (void)state;
    assert_in_child(refresh_finds, parked);
}

static void a_child_asks_again_for_a_name_that_was_queued(void **state)
{
    (void)state;
    assert_in_child(refresh_finds, queued);
}

static void a_child_that_waits_for_a_name_asks_for_it(void **state)
{
    (void)state;
    assert_in_child(is_found, parked);
    assert_in_child(is_found, queued);
}

static int can_be_released(struct larder_name *name)
{
    larder_name_release(name);
    return is_found(queued);
}

static void a_child_can_release_the_name_that_was_being_looked_up(void **state)
{
    (void)state;
    assert_in_child(can_be_released, parked);
}

#define WITH_TWO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TWO(a_child_asks_again_for_the_name_that_was_being_looked_up),
        WITH_TWO(a_child_asks_again_for_a_name_that_was_queued),
        WITH_TWO(a_child_that_waits_for_a_name_asks_for_it),
        WITH_TWO(a_child_can_release_the_name_that_was_being_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
