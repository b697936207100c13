/* A static build of a component: one call makes its schemes known. */
#include <larder/memcached.h>

#include <stdio.h>

int main(void)
{
    struct larder_cache *cache;
    char message[256];
    struct larder_pooled_memcached_options options = LARDER_POOLED_MEMCACHED_OPTIONS_INIT;
    options.servers = "/nowhere/memcached.sock";
    if (larder_memcached_register() != LARDER_OK)
        return 1;
    if (larder_pooled_memcached_open(&options, NULL, &cache, message, sizeof(message)) !=
        LARDER_OK) {
        puts(message);
        return 1;
    }
    enum larder_status status = larder_set(cache, larder_text("key"), larder_text("v"), 0);
    printf("set: %s\n", larder_status_name(status));
    larder_close(cache);
    return 0;
}
