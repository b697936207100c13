/* consumer URI STATUS…: opens a cache as any program would and says what a set answers. */
#include <larder/larder.h>
#include <larder/memcached.h>

#include <stdio.h>

int main(int count, char **arguments)
{
    struct larder_cache *cache;
    char message[256];
    enum larder_status status =
        larder_open(count > 1 ? arguments[1] : "memory:", NULL, &cache, message, sizeof(message));
    if (status != LARDER_OK) {
        printf("%s: %s\n", larder_status_name(status), message);
        return 1;
    }
    status = larder_set(cache, larder_text("key"), larder_text("value"), 1000);
    printf("set: %s\n", larder_status_name(status));
    larder_close(cache);
    return 0;
}
