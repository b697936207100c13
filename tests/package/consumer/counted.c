/* counted URI: what two threads ask for at once, where one call is answered by the backend and
 * another by the core, is counted to the last. The entry "there" has a value from outside. */
#include <larder/larder.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CALLS 1000000u

static struct larder_cache *cache;
static const char wanted[] = "from outside";

static void *ask_plainly(void *wrong)
{
    char buffer[64];
    for (unsigned i = 0; i < CALLS; i++)
        if (larder_read(cache, larder_text("there"), buffer, sizeof(buffer), NULL) != LARDER_OK ||
            memcmp(buffer, wanted, strlen(wanted)) != 0)
            ++*(unsigned *)wrong;
    return NULL;
}

/* With an info, by the row. */
static unsigned ask(void)
{
    char buffer[64];
    unsigned wrong = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        struct larder_info info = {0};
        wrong +=
            larder_read(cache, larder_text("there"), buffer, sizeof(buffer), &info) != LARDER_OK ||
            info.length != strlen(wanted);
    }
    return wrong;
}

static unsigned look(void)
{
    struct larder_value value = {0};
    unsigned wrong = larder_get(cache, larder_text("there"), &value) != LARDER_OK ||
                     value.bytes.length != strlen(wanted);
    larder_value_release(&value);
    wrong += larder_get(cache, larder_text("elsewhere"), &value) != LARDER_MISS;
    return wrong + (larder_read(cache, larder_text("elsewhere"), NULL, 0, NULL) != LARDER_MISS);
}

static unsigned long long figure(const char *name)
{
    struct larder_stat rows[64];
    size_t count;
    if (larder_stats(cache, rows, 64, &count) != LARDER_OK)
        return 0;
    for (size_t i = 0; i < count && i < 64; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    return 0;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    char message[256];
    unsigned wrong = 0;
    if (larder_open(count > 1 ? arguments[1] : "outside:", NULL, &cache, message,
                    sizeof(message)) != LARDER_OK) {
        printf("%s\n", message);
        return 1;
    }
    if (pthread_create(&thread, NULL, ask_plainly, &wrong) != 0)
        return 1;
    unsigned wrong_here = ask();
    pthread_join(thread, NULL);
    wrong += wrong_here + look();
    printf("wrong: %u, read.OK: %llu, get.OK: %llu, get.MISS: %llu\n", wrong, figure("read.OK"),
           figure("get.OK"), figure("get.MISS"));
    larder_close(cache);
    return 0;
}
