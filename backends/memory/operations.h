/* The operations, one file per kind; memory.c puts them into the table. */
#ifndef LARDER_MEMORY_OPERATIONS_H
#define LARDER_MEMORY_OPERATIONS_H

#include <larder/backend.h>

/* hit.c, for each width */
larder_hits_of_fn larder__memory_hits_of_narrow;
larder_hits_of_fn larder__memory_hits_of_wide;
larder_hits_of_fn larder__memory_hits_of_widest;
/* read.c */
larder_read_fn larder__memory_read;
larder_get_fn larder__memory_get;
/* many.c */
larder_many_fn larder__memory_many;
/* write.c */
larder_store_fn larder__memory_store;
larder_store_fn larder__store_generally;
larder_remove_fn larder__memory_remove;
larder_count_fn larder__memory_count;
larder_touch_fn larder__memory_touch;
larder_get_and_touch_fn larder__memory_get_and_touch;
/* store.c, for each width: a plain store, or larder__store_generally() */
larder_store_fn larder__memory_store_narrow;
larder_store_fn larder__memory_store_wide;
larder_store_fn larder__memory_store_widest;
/* lease.c */
larder_lease_get_fn larder__memory_lease_get;
larder_lease_fill_fn larder__memory_lease_fill;
larder_lease_return_fn larder__memory_lease_return;
/* whole.c */
larder_flush_fn larder__memory_flush;
larder_stats_fn larder__memory_stats;
larder_purge_fn larder__memory_purge;
/* keys.c */
larder_keys_fn larder__memory_keys;

#endif
