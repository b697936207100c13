/* The first program: example-first [URI], as in example-first memory:?max_bytes=1M */
#include <larder/larder.h>

#include <inttypes.h>
#include <stdio.h>

int main(int count, char **arguments)
{
    struct larder_cache *cache;
    char message[256];
    const char *uri = count > 1 ? arguments[1] : "memory:";
    if (larder_open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK) {
        fprintf(stderr, "%s\n", message);
        return 1;
    }

    struct larder_slice greeting = larder_text("greeting"), visits = larder_text("visits");
    enum larder_status status = larder_set(cache, greeting, larder_text("hello, larder"), 60000);

    char text[64];
    struct larder_info info = {0};
    if (status == LARDER_OK)
        status = larder_read(cache, greeting, text, sizeof(text), &info);
    if (status == LARDER_OK)
        printf("%.*s\n", (int)info.length, text);

    uint64_t number = 0;
    const struct larder_initial from_one = {.value = 1, .ttl_ms = LARDER_TTL_FOREVER};
    if (status == LARDER_OK)
        status = larder_incr(cache, visits, 1, &from_one, &number);
    printf("%" PRIu64 " visits; the last call answered %s: %s\n", number,
           larder_status_name(status), larder_status_sentence(status));

    larder_close(cache);
    return status < 0;
}
