/* The operations, one file per kind; oracle.c puts them into the table. */
#ifndef TESTS_ORACLE_OPERATIONS_H
#define TESTS_ORACLE_OPERATIONS_H

#include <larder/backend.h>

/* one_key.c */
larder_read_fn oracle_read;
larder_get_fn oracle_get;
larder_touch_fn oracle_touch;
larder_get_and_touch_fn oracle_get_and_touch;
larder_store_fn oracle_store;
larder_remove_fn oracle_remove;
larder_count_fn oracle_count;
/* leases.c */
larder_lease_get_fn oracle_lease_get;
larder_lease_fill_fn oracle_lease_fill;
larder_lease_return_fn oracle_lease_return;
/* whole.c */
larder_flush_fn oracle_flush;
larder_keys_fn oracle_keys;
larder_stats_fn oracle_stats;
larder_purge_fn oracle_purge;

#endif
