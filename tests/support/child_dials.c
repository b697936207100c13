#include "child_dials.h"

#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "stats.h"

static const struct larder_slice key = {"f", 1};

static int reads_on_one_of_its_own(struct larder_cache *cache)
{
    char text[8];
    struct larder_info info = {0};
    return larder_read(cache, key, text, sizeof(text), &info) == LARDER_OK && info.length == 6 &&
           stat_of(cache, "connections") == 1;
}

void child_must_dial(struct larder_cache *cache)
{
    char text[8];
    int code = 1;
    assert_status(LARDER_OK, larder_set(cache, key, larder_text("parent"), 60000));
    pid_t child = fork();
    if (child == 0) {
        int good = reads_on_one_of_its_own(cache);
        larder_close(cache);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
    assert_status(LARDER_OK, larder_read(cache, key, text, sizeof(text), NULL));
    assert_int_equal(stat_of(cache, "dials"), 1);
}
