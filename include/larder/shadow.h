/*
 * shadow: a cache, and a copy of its traffic on another one, which nobody's answers come from: to
 * try new servers, or another backend, under the real load before anybody depends on them.
 *
 *     [pool]                                   [front]
 *     uri = memcached://10.0.0.1,10.0.0.2/     uri = shadow:?of=@pool&copy=@trial&share=5&reads=on
 *     [trial]                                  [namespaces]
 *     uri = meta://10.0.1.1/                   main = @front
 *
 * `of` answers every call. What it took is put into `copy` afterwards: the result, not the
 * operation (larder/util/pair.h has the table). With reads=on what is read is read on `copy`, too,
 * and compared. Failures and differences are counted, and nothing else comes of them. `share`
 * chooses keys, by their hash, the same ones in all processes: a key is copied always or never.
 *
 * The caller waits for the copy, within its timeout. docs/shadow.md says more.
 */
#ifndef LARDER_SHADOW_H
#define LARDER_SHADOW_H

#include <larder/backend.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARDER_SHADOW_OPTIONS_TABLE(NUMBER, CACHE)                             \
    CACHE(of, of, 1, "the cache that answers")                                 \
    CACHE(copy, copy, 1, "the cache that gets what `of` took")                 \
    NUMBER(COUNT, share, share, 100, 1, 100, "percent of the keys are copied") \
    NUMBER(SWITCH, reads, reads, 0, 0, 1, "on: reads are made on the copy, too, and compared")

/** On OK the new cache holds `of` and `copy`, as with larder_gutter_open(). */
struct larder_shadow_options {
    size_t struct_size;
    LARDER_SHADOW_OPTIONS_TABLE(LARDER_NUMBER_FIELD, LARDER_CACHE_FIELD)
};
/* clang-format off */
#define LARDER_SHADOW_OPTIONS_INIT \
    { sizeof(struct larder_shadow_options) \
      LARDER_SHADOW_OPTIONS_TABLE(LARDER_NUMBER_DEFAULT, LARDER_CACHE_DEFAULT) }
/* clang-format on */

/**
 * Opens a shadow. Parameters and result else as larder_open_backend().
 * @return BAD_ARGUMENT also for one cache in both places
 */
LARDER_API LARDER_MUST_USE enum larder_status
larder_shadow_open(const struct larder_shadow_options *options,
                   const struct larder_open_options *open_options, struct larder_cache **cache,
                   char *message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
