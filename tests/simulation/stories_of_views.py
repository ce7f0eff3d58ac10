"""Stories that play with seeds alone, each with the broken rule that it shows."""

from tests.simulation import (
    directed_broken_off,
    directed_counted_on,
    directed_custody,
    directed_deletes,
    directed_disks,
    directed_empty_disks,
    directed_hints,
    directed_names,
    directed_parts,
    directed_past,
    directed_reads,
    directed_repeats,
    directed_restarts,
    directed_unheard,
    directed_views,
)
from tests.simulation.mutants import (
    add_the_whole_past_to_the_clock,
    answer_before_it_is_durable,
    compare_stamps_across_causally_ordered_values,
    count_no_key_whose_latest_write_is_a_delete,
    stamp_by_the_wall_clock_alone,
)
from tests.simulation.mutants_of_answers import (
    answer_at_once_after_a_wipe,
    keep_what_a_full_exchange_has_reached_in_memory_alone,
    leave_deletes_out_of_the_token,
    show_siblings_without_their_own_past,
)
from tests.simulation.mutants_of_claims import (
    a_new_life_on_old_rows_begins_a_name,
    a_view_of_ones_own_is_enough_to_write,
    call_foreign_what_is_not_known_yet,
)
from tests.simulation.mutants_of_custody import (
    a_context_loses_its_oldest_view,
    acks_of_two_views_are_added_up,
    acks_outlive_their_view,
    forget_before_the_claims_are_taken,
    rows_that_have_gone_come_back_with_a_page,
)
from tests.simulation.mutants_of_disks import (
    a_mark_vouches_for_a_disk,
    a_new_life_names_writes_in_the_view_of_its_old_rows,
    a_new_life_that_is_alone_forgets_the_newer_view,
    a_past_incarnation_lives_on,
    a_restarted_node_answers_before_it_is_confirmed,
    a_restarted_node_counts_what_is_below_the_oldest_view_at_once,
    a_restarted_node_names_writes_before_it_is_confirmed,
    a_run_writes_under_the_name_of_the_last,
    an_old_disk_believes_a_oldest_view_that_it_has_not_reported,
    an_old_disk_counts_on_before_it_is_heard,
    an_old_disk_goes_on_claiming_what_it_had,
    an_old_disk_takes_part_in_a_view_again,
    clients_that_do_not_wait_are_refused_for_ever,
    comparisons_alone_show_an_old_disk,
    marks_wait_for_what_is_lost,
    old_rows_outlive_their_view,
    parts_that_have_become_one_are_not_saved,
    share_the_dots_of_slots_that_are_not_ours,
    what_a_broken_off_exchange_brought_has_no_name,
    what_a_past_run_has_lost_is_waited_for,
    what_all_had_proves_nothing,
    what_another_shard_has_lost_is_not_looked_for_there,
    who_forgets_everything_forgets_what_is_retired,
)
from tests.simulation.mutants_of_hints import (
    a_holder_reports_before_its_hints_are_handed_over,
    hints_bring_writes_of_ended_incarnations,
    one_owner_is_enough_for_a_hint_of_an_older_view,
)
from tests.simulation.mutants_of_repeats import (
    a_late_name_replaces_what_came_after_the_write,
    acks_of_two_names_are_added_up,
    contexts_name_no_writes,
    one_home_refuses_for_all,
    replace_one_name_of_a_write_alone,
    two_nodes_with_the_same_versions_do_not_tell_names,
    writes_that_replace_each_other_are_both_gone,
)
from tests.simulation.mutants_of_the_api import (
    delete_what_stands_beside_an_expired_value,
    judge_a_condition_before_the_past_has_arrived,
    show_what_has_expired,
)
from tests.simulation.mutants_of_the_past import (
    claim_every_view_that_names_us,
    delete_marks_do_not_travel,
    homes_judge_deletes_by_the_readers_token_alone,
    prune_the_key_log_at_once,
)
from tests.simulation.mutants_of_the_unheard import (
    a_node_proposes_in_a_view_that_may_be_retired,
    give_up_who_has_its_view_from_its_settings,
    give_up_whom_a_lost_node_may_have_told,
    names_of_retired_runs_are_not_learned,
    reports_count_without_the_views_of_their_nodes,
    tell_views_to_whoever_is_named,
    unlisted_peers_tell_of_views,
)
from tests.simulation.mutants_of_views import (
    a_view_id_names_the_proposers_address,
    handle_messages_of_other_views,
    judge_tokens_of_newer_views,
    leave_without_naming_what_came,
    name_writes_before_anybody_knows_us,
    nobody_replaces_a_lost_member,
    nothing_is_claimed_for_a_skipped_view,
    propose_below_a_view_that_tokens_name,
    propose_for_others_in_no_view,
    propose_from_outside,
    stay_away_from_a_view_that_no_node_leads,
    the_losers_owners_forget_what_they_took_in,
)
from tests.simulation.stories_of_second_homes import STORIES_OF_SECOND_HOMES

STORIES_OF_VIEWS = [
    *STORIES_OF_SECOND_HOMES,
    (
        directed_counted_on.an_old_disk_counts_a_view_before_it_is_heard,
        an_old_disk_counts_on_before_it_is_heard,
    ),
    (
        directed_counted_on.a_node_has_forgotten_the_view_that_names_it_alone,
        stay_away_from_a_view_that_no_node_leads,
    ),
    (directed_deletes.a_value_is_read_when_its_time_is_over, show_what_has_expired),
    (
        directed_deletes.a_value_expires_beside_another,
        delete_what_stands_beside_an_expired_value,
    ),
    (directed_views.what_the_beaten_side_took_in, the_losers_owners_forget_what_they_took_in),
    (directed_views.a_proposal_of_a_node_that_has_left, propose_from_outside),
    (
        directed_views.a_new_owner_is_asked_to_create_a_key,
        judge_a_condition_before_the_past_has_arrived,
    ),
    (
        directed_views.a_node_that_has_forgotten_is_asked_for_others,
        propose_for_others_in_no_view,
    ),
    (directed_views.a_proposer_whose_disk_is_lost, a_view_id_names_the_proposers_address),
    (directed_views.views_that_nobody_took_part_in, nothing_is_claimed_for_a_skipped_view),
    (directed_views.a_view_that_one_node_alone_has_adopted, propose_below_a_view_that_tokens_name),
    (
        directed_parts.a_restart_where_two_parts_have_become_one,
        parts_that_have_become_one_are_not_saved,
    ),
    (
        directed_repeats.a_late_name_of_a_write_that_was_seen,
        a_late_name_replaces_what_came_after_the_write,
    ),
    (
        directed_repeats.the_name_of_a_replaced_write_is_told_with_its_dot,
        two_nodes_with_the_same_versions_do_not_tell_names,
    ),
    (directed_repeats.two_homes_have_a_replica_each, acks_of_two_names_are_added_up),
    (
        directed_repeats.a_write_that_a_context_has_seen_is_sent_again,
        contexts_name_no_writes,
    ),
    (directed_repeats.one_home_refuses_what_another_has_named, one_home_refuses_for_all),
    (
        directed_repeats.two_writes_replace_each_other,
        writes_that_replace_each_other_are_both_gone,
    ),
    (
        directed_hints.a_home_is_declared_lost_that_only_hints_survive,
        a_holder_reports_before_its_hints_are_handed_over,
    ),
    (
        directed_hints.an_owner_has_reported_when_a_hint_comes,
        one_owner_is_enough_for_a_hint_of_an_older_view,
    ),
    (
        directed_hints.a_hint_comes_when_its_incarnation_is_closed,
        hints_bring_writes_of_ended_incarnations,
    ),
    (
        directed_repeats.a_client_replaces_a_write_that_has_two_names,
        replace_one_name_of_a_write_alone,
    ),
    (
        directed_disks.a_copied_disk_starts_in_another_shard,
        share_the_dots_of_slots_that_are_not_ours,
    ),
    (directed_custody.what_came_back_to_who_had_it_before, acks_outlive_their_view),
    (directed_custody.a_comparison_of_two_views_ago, handle_messages_of_other_views),
    (directed_custody.a_write_over_three_views, acks_of_two_views_are_added_up),
    (directed_custody.slots_that_nobody_wrote_to, forget_before_the_claims_are_taken),
    (directed_deletes.a_delete_below_the_oldest_view, a_context_loses_its_oldest_view),
    (
        directed_deletes.a_page_that_was_read_before_the_delete,
        rows_that_have_gone_come_back_with_a_page,
    ),
    (
        directed_deletes.a_late_copy_of_what_was_deleted,
        compare_stamps_across_causally_ordered_values,
    ),
    (
        directed_deletes.a_delete_is_shown_without_what_its_writer_had_seen,
        homes_judge_deletes_by_the_readers_token_alone,
    ),
    (
        directed_deletes.a_value_beside_a_delete_is_counted,
        count_no_key_whose_latest_write_is_a_delete,
    ),
    (directed_past.who_was_away_is_sent_what_it_missed, prune_the_key_log_at_once),
    (directed_past.who_has_forgotten_owns_again, claim_every_view_that_names_us),
    (directed_past.a_living_node_is_declared_lost, judge_tokens_of_newer_views),
    (directed_past.a_lost_node_is_asked_to_delete, judge_tokens_of_newer_views),
    (directed_names.two_sides_that_have_begun_apart, call_foreign_what_is_not_known_yet),
    (
        directed_names.a_copy_begins_while_its_original_is_down,
        a_new_life_on_old_rows_begins_a_name,
    ),
    (
        directed_names.a_new_life_proposes_while_it_is_cut_off,
        a_view_of_ones_own_is_enough_to_write,
    ),
    (directed_past.what_a_delete_depended_on, delete_marks_do_not_travel),
    (directed_past.what_a_delete_depended_on, leave_deletes_out_of_the_token),
    (directed_unheard.a_node_that_hears_and_is_not_heard, tell_views_to_whoever_is_named),
    (directed_unheard.a_view_that_an_unlisted_peer_has_heard_of, unlisted_peers_tell_of_views),
    (
        directed_unheard.two_who_know_each_other_by_their_settings,
        give_up_who_has_its_view_from_its_settings,
    ),
    (
        directed_unheard.a_view_that_a_node_has_missed,
        reports_count_without_the_views_of_their_nodes,
    ),
    (directed_unheard.whom_a_lost_node_has_told, give_up_whom_a_lost_node_may_have_told),
    (
        directed_unheard.a_view_is_retired_at_a_node_that_has_left_it_first,
        names_of_retired_runs_are_not_learned,
    ),
    (
        directed_empty_disks.an_empty_disk_is_asked_for_a_view_by_a_newcomer,
        a_node_proposes_in_a_view_that_may_be_retired,
    ),
    (
        directed_empty_disks.an_empty_disk_is_asked_for_views_while_it_is_cut_off,
        a_node_proposes_in_a_view_that_may_be_retired,
    ),
    (directed_empty_disks.an_empty_disk_is_asked_to_write, name_writes_before_anybody_knows_us),
    (
        directed_custody.owners_that_lose_their_disks_before_their_view,
        nobody_replaces_a_lost_member,
    ),
    (directed_reads.a_read_before_the_disk_has_it, answer_before_it_is_durable),
    (directed_reads.a_write_beside_one_that_has_not_come, add_the_whole_past_to_the_clock),
    (
        directed_reads.a_sibling_without_what_its_writer_had_seen,
        show_siblings_without_their_own_past,
    ),
    (directed_reads.a_write_by_a_clock_that_is_behind, stamp_by_the_wall_clock_alone),
    (
        directed_reads.a_crash_in_the_middle_of_a_full_exchange,
        keep_what_a_full_exchange_has_reached_in_memory_alone,
    ),
    (
        directed_restarts.an_old_disk_is_asked_at_once,
        a_restarted_node_answers_before_it_is_confirmed,
    ),
    (directed_restarts.an_old_disk_is_told_what_all_had, what_all_had_proves_nothing),
    (
        directed_restarts.an_old_disk_is_sent_a_state_with_its_own_writes,
        comparisons_alone_show_an_old_disk,
    ),
    (
        directed_restarts.an_old_disk_hears_of_a_view_that_it_was_in,
        an_old_disk_takes_part_in_a_view_again,
    ),
    (
        directed_restarts.an_old_disk_is_told_a_view_and_that_it_is_settled,
        an_old_disk_believes_a_oldest_view_that_it_has_not_reported,
    ),
    (
        directed_restarts.an_old_disk_is_told_that_its_view_is_settled,
        a_restarted_node_counts_what_is_below_the_oldest_view_at_once,
    ),
    (directed_restarts.an_old_disk_is_known_by_its_mark_alone, a_mark_vouches_for_a_disk),
    (
        directed_restarts.a_new_life_on_old_rows_is_asked_at_once,
        an_old_disk_goes_on_claiming_what_it_had,
    ),
    (directed_restarts.an_empty_disk_is_asked_at_once, answer_at_once_after_a_wipe),
    (
        directed_disks.an_old_disk_names_writes_while_it_is_alone,
        a_run_writes_under_the_name_of_the_last,
    ),
    (directed_restarts.a_write_is_lost_with_its_run, what_a_past_run_has_lost_is_waited_for),
    (
        directed_restarts.a_client_that_does_not_wait_asks_for_a_lost_write,
        clients_that_do_not_wait_are_refused_for_ever,
    ),
    (
        directed_restarts.a_delete_depends_on_what_was_lost_with_a_run,
        marks_wait_for_what_is_lost,
    ),
    (
        directed_restarts.a_delete_depends_on_what_another_shard_has_lost,
        what_another_shard_has_lost_is_not_looked_for_there,
    ),
    (directed_disks.an_old_disk_has_replaced_what_came_later, old_rows_outlive_their_view),
    (
        directed_disks.a_disk_of_a_past_incarnation_is_asked_to_write,
        a_restarted_node_names_writes_before_it_is_confirmed,
    ),
    (
        directed_disks.a_disk_of_a_past_incarnation_is_asked_to_write,
        a_past_incarnation_lives_on,
    ),
    (
        directed_disks.a_new_life_on_old_rows_is_asked_to_write,
        a_new_life_names_writes_in_the_view_of_its_old_rows,
    ),
    (
        directed_disks.a_new_life_is_alone_in_the_view_of_its_old_rows,
        a_new_life_that_is_alone_forgets_the_newer_view,
    ),
    (
        directed_disks.an_old_disk_meets_a_node_that_has_forgotten,
        who_forgets_everything_forgets_what_is_retired,
    ),
    (
        directed_broken_off.a_page_outlives_the_disk_that_it_came_from,
        what_a_broken_off_exchange_brought_has_no_name,
    ),
    (
        directed_broken_off.a_page_is_handed_over_without_its_source,
        leave_without_naming_what_came,
    ),
]
