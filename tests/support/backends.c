/* Registers what a program that installs larder finds in the module folder. */
#ifdef LARDER_WITH_MEMCACHED
#include <larder/memcached.h>

__attribute__((constructor)) static void register_memcached(void)
{
    larder_memcached_register();
}
#endif

#ifdef LARDER_WITH_META
#include <larder/meta.h>

__attribute__((constructor)) static void register_meta(void)
{
    larder_meta_register();
}
#endif

typedef int larder_test_backends_is_no_empty_unit;
