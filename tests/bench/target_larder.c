#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <larder/traits.h>

static int complain(enum larder_status status, const char *what)
{
    fprintf(stderr, "larder-bench: %s: %s\n", larder_status_name(status), what);
    return 0;
}

/* A client is opened from a file; this one never touches a disk. */
static int configuration_write(char path[32], const char *uri, const char *name)
{
    int descriptor = memfd_create("larder-bench", 0);
    if (descriptor < 0)
        return -1;
    dprintf(descriptor,
            "[measured]\nuri = %s\n[client]\ndefault_namespace = %s\n[namespaces]\n%s = "
            "@measured\n",
            uri, name, name);
    snprintf(path, 32, "/proc/self/fd/%d", descriptor);
    return descriptor;
}

static enum larder_status open_namespace(struct target *target, const struct plan *plan,
                                         char *message, size_t size)
{
    char path[32] = "";
    int descriptor = configuration_write(path, plan->subject, plan->namespace_name);
    enum larder_status status = larder_open_file(path, NULL, &target->opened, message, size);
    if (descriptor >= 0)
        close(descriptor);
    if (status != LARDER_OK)
        return status;
    return larder_bind(target->opened, plan->namespace_name, &target->cache);
}

int target_open(struct target *target, const struct plan *plan)
{
    char message[512] = "";
    enum larder_status status;
    *target = (struct target){NULL, NULL};
    if (plan->namespace_name != NULL) {
        status = open_namespace(target, plan, message, sizeof(message));
    } else {
        status = larder_open(plan->subject, NULL, &target->opened, message, sizeof(message));
        target->cache = target->opened;
    }
    if (status == LARDER_OK)
        return 1;
    target_close(target);
    return complain(status, message);
}

void target_close(struct target *target)
{
    larder_close(target->opened);
    *target = (struct target){NULL, NULL};
}

int target_is_local(const struct target *target)
{
    return (larder_describe(target->cache)->promises & LARDER_SHARED) == 0;
}

int target_enter(struct target *target, const struct plan *plan, struct target_thread *thread)
{
    *thread = (struct target_thread){
        .cache = target->cache,
        .rows = calloc(plan->batch, sizeof(*thread->rows)),
        .key_bytes = plan->key_bytes,
        .value_bytes = plan->value_bytes,
        .ttl_ms = plan->ttl_ms,
    };
    if (thread->rows == NULL)
        return complain(LARDER_NO_MEMORY, "no rows");
    if (!plan->session)
        return 1;
    enum larder_status status = larder_acquire(target->cache, 0, 0, &thread->session);
    if (status == LARDER_OK) {
        thread->cache = thread->session;
        return 1;
    }
    free(thread->rows);
    return complain(status, "no session");
}

void target_leave(struct target_thread *thread)
{
    larder_release(thread->session);
    free(thread->rows);
}
