/*
 * A program that knows larder only by dlopen(): loads it, uses a cache, closes it, and unloads the
 * library, over and over. Memory and descriptors stay flat, also when a module was loaded, which
 * stays.
 *
 * usage: unloading LIBRARY [module]   (a cache of the module memcached.so is opened as well)
 */
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <larder/larder.h>

#include "memcached_server.h"

enum { ROUNDS = 200, WARM = 20 };

/* Source of the bound: what glibc's loader keeps of itself, measured: 2.5 KB for stdio and fork().
 */
#define BYTES_MORE 4096u

static struct {
    enum larder_status (*open)(const char *, const struct larder_open_options *,
                               struct larder_cache **, char *, size_t);
    enum larder_status (*store)(struct larder_cache *, enum larder_mode, struct larder_slice,
                                const struct larder_write *, uint64_t *);
    enum larder_status (*read)(struct larder_cache *, struct larder_slice, void *, size_t,
                               struct larder_info *);
    enum larder_status (*get)(struct larder_cache *, struct larder_slice, struct larder_value *);
    void (*value_release)(struct larder_value *);
    void (*close)(struct larder_cache *);
} larder;

static void fail(const char *what)
{
    fprintf(stderr, "FAILED: %s\n", what);
    exit(1);
}

/* A cast between a function's and an object's address has no other spelling that ISO C knows. */
static void find(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);
    if (address == NULL)
        fail(name);
    memcpy(function, &address, sizeof(address));
}

static int descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void use(const char *uri, int keeps)
{
    struct larder_cache *cache;
    char message[256], buffer[8];
    struct larder_write write = larder_write_of(larder_text("value"), 0);
    if (larder.open(uri, NULL, &cache, message, sizeof(message)) != LARDER_OK)
        fail(message);
    if (larder.store(cache, LARDER_SET, larder_text("key"), &write, NULL) != LARDER_OK)
        fail(uri);
    enum larder_status expected = keeps ? LARDER_OK : LARDER_MISS;
    if (larder.read(cache, larder_text("key"), buffer, sizeof(buffer), NULL) != expected)
        fail(uri);
    struct larder_value value = {0};
    if (larder.get(cache, larder_text("key"), &value) != expected)
        fail(uri);
    larder.close(cache);
    larder.value_release(&value); /* its block is kept, until the library goes */
}

/* The handlers that the library installed must be gone with it. */
static void fork_once(void)
{
    int ended;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child < 0 || waitpid(child, &ended, 0) != child || ended != 0)
        fail("fork after dlclose");
}

static void one_round(const char *path, const char *uri)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fail(dlerror());
    find(library, "larder_open", &larder.open);
    find(library, "larder_store", &larder.store);
    find(library, "larder_read", &larder.read);
    find(library, "larder_get", &larder.get);
    find(library, "larder_value_release", &larder.value_release);
    find(library, "larder_close", &larder.close);
    use("memory:?max_bytes=1M", 1);
    use("null:", 0);
    if (uri != NULL)
        use(uri, 1);
    if (dlclose(library) != 0)
        fail(dlerror());
    if (dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL)
        fail("the library is still there after dlclose");
}

static void run(const char *path, const char *uri)
{
    for (int i = 0; i < WARM; i++)
        one_round(path, uri);
    fork_once();
    int first_descriptors = descriptors();
    size_t first_bytes = mallinfo2().uordblks;
    for (int i = 0; i < ROUNDS; i++)
        one_round(path, uri);
    fork_once();
    long long more = (long long)mallinfo2().uordblks - (long long)first_bytes;
    printf("%d rounds: %lld bytes more, %d descriptors more\n", ROUNDS, more,
           descriptors() - first_descriptors);
    if (more > BYTES_MORE || descriptors() != first_descriptors)
        fail("memory and descriptors are flat");
}

int main(int argc, char **argv)
{
    char uri[256];
    if (argc < 2)
        fail("usage: unloading LIBRARY [module]");
    if (argc == 2) {
        run(argv[1], NULL);
        return 0;
    }
    struct memcached_server *server = memcached_server_start(NULL);
    snprintf(uri, sizeof(uri), "memcached:%s?timeout=60s", memcached_server_path(server));
    run(argv[1], uri);
    memcached_server_stop(server);
    return 0;
}
