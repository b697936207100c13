/*
 * Tests that can't hold on a subject, with the reason; contract_test prints each. A gutter over a
 * dead cache keeps the contract but for what docs/gutter.md says, and tests/unit/gutter_test.c
 * checks that, row by row.
 */
#include "contract.h"

#include <string.h>

struct left_out {
    enum leaf leaf;
    const char *reason;
    const char *const *tests;
};

static const char *const that_delete[] = {
    "a_value_of_no_bytes_is_a_value",
    "views_outlive_overwrite_delete_and_flush",
    "a_value_of_value_max_is_stored",
    "a_counter_starts_with_a_long_ttl",
    "a_missing_counter_starts_at_its_initial_value_and_delta",
    "keys_of_every_length_work",
    "long_keys_differ_by_one_byte",
    "each_byte_is_a_key_of_its_own",
    "every_byte_stands_in_every_place",
    "a_key_with_a_command_in_it_is_only_a_key",
    "a_key_with_nul_in_it_is_whole",
    "a_key_like_larders_own_is_the_callers",
    "a_delete_voids_a_lease",
    "a_store_and_a_delete_void_a_lease",
    "many_keys_are_stored_read_touched_and_deleted",
    "a_key_named_twice_is_answered_twice",
    "a_bad_key_stops_no_other",
    "every_key_that_stays_is_listed",
    "each_answer_is_counted",
    "a_key_set_again_has_its_new_ttl",
    NULL,
};

static const char *const that_flush_or_list[] = {
    "what_is_stored_after_a_flush_stays",
    "a_flush_voids_a_lease",
    "flush_drops_every_key",
    "a_flush_through_the_handle_under_test",
    "only_live_keys_of_this_cache_are_listed",
    "a_key_that_does_not_fit_waits_for_more_room",
    "a_flush_spares_what_others_keep_on_a_server",
    NULL,
};

static const char *const that_use_versions[] = {
    "want_is_kept_in_an_info_that_is_used_again",
    "every_option_is_honoured_or_refused",
    "a_version_option_holds_for_that_version_only",
    "every_operation_on_a_live_key",
    "every_operation_on_a_missing_key",
    "every_operation_on_a_deleted_key",
    "every_operation_on_a_flushed_key",
    "every_operation_on_an_expired_key",
    "every_operation_on_a_negative_entry",
    "every_operation_on_a_pending_key",
    "a_larger_value_is_refused_and_the_old_one_stays",
    "cas_stores_at_the_version_that_was_read",
    "read_and_get_show_the_same_version",
    "every_write_makes_a_new_version",
    "a_version_never_comes_back",
    "a_version_from_before_a_delete_conflicts",
    "a_delete_takes_only_the_version_it_names",
    "a_store_tells_its_version_where_the_traits_say_so",
    "rows_carry_versions",
    "every_mode_sets_the_ttl",
    NULL,
};

static const char *const that_store_for_ever[] = {
    "the_ttl_left_is_read_where_the_traits_say_so",
    "a_manual_clock_reaches_far_ttls",
    "a_manual_clock_expires_on_the_millisecond", /* its witness */
    "purge_tells_when_it_is_due",
    NULL,
};

static const char *const that_give_no_ttl[] = {
    "without_options_a_ttl_is_applied_as_it_is",
    "the_default_ttl_is_that_of_the_options",
    "the_ttl_left_is_read_where_the_traits_say_so",
    "a_manual_clock_reaches_far_ttls",
    "purge_tells_when_it_is_due",
    NULL,
};

static const char *const that_kill_the_server[] = {
    "a_dead_server_is_a_failure_and_a_miss_only_where_asked",
    NULL,
};

static const char *const that_need_of[] = {
    "a_wire_key_is_short_printable_and_its_own",
    NULL,
};

static const char *const that_join[] = {
    "append_over_value_max_is_refused_and_the_old_one_stays",
    NULL,
};

static const struct left_out all[] = {
    {LEAF_GUTTER_DEAD, "a delete that missed `of` is never OK", that_delete},
    {LEAF_GUTTER_DEAD, "a flush reaches both parts, and keys are those of `of`",
     that_flush_or_list},
    {LEAF_GUTTER_DEAD, "a copy of the spare's can't be used for cas", that_use_versions},
    {LEAF_GUTTER_DEAD, "nothing lives longer than `ttl` on the spare", that_store_for_ever},
    {LEAF_GUTTER_DEAD_META, "a delete that missed `of` is never OK", that_delete},
    {LEAF_GUTTER_DEAD_META, "a flush reaches both parts, and keys are those of `of`",
     that_flush_or_list},
    {LEAF_GUTTER_DEAD_META, "a copy of the spare's can't be used for cas", that_use_versions},
    {LEAF_GUTTER_DEAD_META, "nothing lives longer than `ttl` on the spare", that_store_for_ever},
    {LEAF_GUTTER_DEAD_META, "wire keys are those of `of`, a namespace's number is on its server",
     that_need_of},
    {LEAF_GUTTER_DEAD_META, "the spare joins what is longer than `of` takes", that_join},
    {LEAF_GUTTER_DEAD_META, "the spare answers for a dead server", that_kill_the_server},
    {LEAF_EPHEMERAL, "nothing lives longer than `ttl`", that_give_no_ttl},
    {LEAF_GUTTER_META, "the spare answers for a dead server", that_kill_the_server},
    {LEAF_HOT_META, "a copy is served while its server is dead", that_kill_the_server},
};

const char *reason_to_leave_out(const struct subject *subject, const char *test)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t j = 0; all[i].leaf == subject->leaf && all[i].tests[j] != NULL; j++)
            if (strcmp(all[i].tests[j], test) == 0)
                return all[i].reason;
    return NULL;
}
