/* What a keyspace on a server declares to keep beside its values: metadata=leases,negative. */
#ifndef LARDER_METADATA_H
#define LARDER_METADATA_H

#include <larder/backend.h>

/* ROW(name, bit, text, there is an implementation) */
#define METADATA_TABLE(ROW)         \
    ROW(LEASES, 0, "leases", 1)     \
    ROW(TAGS, 1, "tags", 0)         \
    ROW(NEGATIVE, 2, "negative", 1) \
    ROW(CODEC, 3, "codec", 0)

enum metadata {
#define METADATA_ROW(name, bit, text, done) METADATA_##name = 1 << bit,
    METADATA_TABLE(METADATA_ROW)
#undef METADATA_ROW
};

/**
 * Reads names with commas between.
 * @param name      of the option, for the message
 * @param text      NULL: none
 * @param metadata  on OK METADATA_* bits
 * @return OK; BAD_ARGUMENT for what is no name, none, or there twice; UNSUPPORTED for what this
 *         library can't keep yet
 */
enum larder_status larder__metadata_read(const char *name, const char *text, uint32_t *metadata,
                                         const struct larder_message *why);

/** What the options of a backend declare; 0 where it has no option of that type.
 * @param complete  a checked struct of options */
uint32_t larder__metadata_declared(const struct larder_backend *backend, const void *complete);

/** What may be written, for people. */
void larder__metadata_range(char *text, size_t size);

#endif
