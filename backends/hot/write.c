/* Writes: first `of`, then the copy goes, whatever `of` said: who writes a value, or tries to, does
 * not want to be told the old one. */
#include "inside.h"

#include <larder/util/value.h>

enum larder_status hot_store(const struct larder_scope *scope, enum larder_mode mode,
                             struct larder_slice key, const struct larder_write *write,
                             uint64_t *version)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->store(&passage.of, mode, key, write, version);
    hot_drop(&passage, key);
    return status;
}

enum larder_status hot_remove(const struct larder_scope *scope, struct larder_slice key,
                              uint64_t version)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->remove(&passage.of, key, version);
    hot_drop(&passage, key);
    return status;
}

enum larder_status hot_touch(const struct larder_scope *scope, struct larder_slice key,
                             int64_t ttl_ms)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->touch(&passage.of, key, ttl_ms);
    hot_drop(&passage, key);
    return status;
}

enum larder_status hot_count_up_or_down(const struct larder_scope *scope, struct larder_slice key,
                                        enum larder_direction direction, uint64_t delta,
                                        const struct larder_initial *initial, uint64_t *result)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->count(&passage.of, key, direction, delta, initial, result);
    hot_drop(&passage, key);
    return status;
}

enum larder_status hot_lease_fill(const struct larder_scope *scope, struct larder_slice key,
                                  struct larder_lease lease, const struct larder_write *write)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->lease_fill(&passage.of, key, lease, write);
    hot_drop(&passage, key);
    return status;
}

/* It changes no value. */
enum larder_status hot_lease_return(const struct larder_scope *scope, struct larder_slice key,
                                    struct larder_lease lease)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    return passage.of.ops->lease_return(&passage.of, key, lease);
}

/* The copies need not be told, but their memory is given back. */
enum larder_status hot_flush(const struct larder_scope *scope)
{
    struct passage passage;
    enum larder_status status = hot_begin(&passage, scope);
    if (status != LARDER_OK)
        return status;
    status = passage.of.ops->flush(&passage.of);
    hot_drop_all(&passage);
    (void)passage.copies.ops->flush(&passage.copies);
    return status;
}
