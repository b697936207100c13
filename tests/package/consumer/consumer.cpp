// The public headers in a C++11 program.
#include <larder/client.h>
#include <larder/dependency.h>
#include <larder/larder.h>
#include <larder/memcached.h>
#include <larder/memory.h>
#include <larder/null.h>
#include <larder/pool.h>

#include <cstdio>

int main()
{
    larder_memory_options options = LARDER_MEMORY_OPTIONS_INIT;
    larder_open_options open_options = LARDER_OPEN_OPTIONS_INIT;
    larder_call call = LARDER_CALL_INIT;
    larder_cache *cache = nullptr;
    if (larder_memory_open(&options, &open_options, &cache, nullptr, 0) != LARDER_OK)
        return 1;
    larder_value value = larder_value();
    larder_row row = larder_row();
    row.key = larder_text("key");
    row.write = larder_write_of(larder_text("value"), LARDER_TTL_FOREVER);
    bool good = larder_store_multi(cache, LARDER_SET, &row, 1) == LARDER_OK &&
                larder_get_with(cache, &call, larder_text("key"), &value) == LARDER_OK &&
                value.bytes.length == 5;
    larder_value_release(&value);
    larder_close(cache);
    std::printf("%s\n", good ? "C++: OK" : "C++: wrong");
    return good ? 0 : 1;
}
