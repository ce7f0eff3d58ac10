"""The tests break every rule of the live-view model's list on the real core, too, and notice it.

They read the model's list where the design lies beside the repository.  Without it, the number of
names here must be right.  (models/live_view.py.)
"""

import ast
from pathlib import Path

from tests.house.rules import ROOT
from tests.simulation import (
    mutants as of_a_replica,
    mutants_of_answers as of_answers,
    mutants_of_custody as of_custody,
    mutants_of_the_past as of_the_past,
    mutants_of_views as of_views,
)
from tests.simulation.breaks import Mutant
from tests.simulation.broken_rules import BREAKS, IN_STORIES
from tests.simulation.stories_of_views import STORIES_OF_VIEWS

MODEL = ROOT.parent / "shared/models/live_view.py"
RULES_OF_THE_MODEL = 31

BROKEN_BY: dict[str, Mutant] = {
    "the actor outlives its view": of_views.the_actor_outlives_its_view,
    "a wiped node keeps its id": of_a_replica.reuse_the_actor_after_a_wipe,
    "a view id names the proposer's address": of_views.a_view_id_names_the_proposers_address,
    "a node that is no owner coordinates": of_views.coordinate_without_owning,
    "a slot starts with the node's clock": of_views.a_slot_starts_with_the_nodes_clock,
    "a slot starts with the floor": of_views.a_slot_starts_with_the_oldest_view,
    "fill with the new clock": of_a_replica.fill_with_the_new_clock,
    "objects are pushed stripped": of_answers.pull_stripped_objects,
    "the clock joins with the first page": of_answers.join_the_clock_with_the_first_page,
    "a pruned dot is skipped": of_views.a_pruned_dot_is_skipped,
    "absent keys are not sent": of_answers.leave_absent_keys_out_of_a_full_exchange,
    "prune the key log at once": of_the_past.prune_the_key_log_at_once,
    "handle messages of older views": of_views.handle_messages_of_other_views,
    "acks outlive their view": of_custody.acks_outlive_their_view,
    "acks of two views are added up": of_custody.acks_of_two_views_are_added_up,
    "forget before the claims are taken": of_custody.forget_before_the_claims_are_taken,
    "ack before durable": of_a_replica.tell_before_it_is_durable,
    "forget without acks": of_views.forget_without_acks,
    "forget after the first ack": of_views.forget_after_the_first_ack,
    "the loser's owners forget what they took in": (
        of_views.the_losers_owners_forget_what_they_took_in
    ),
    "answer before the slot has arrived": of_views.answer_before_the_slot_has_arrived,
    "claim every view that names me": of_the_past.claim_every_view_that_names_us,
    "nothing is claimed for a skipped view": of_views.nothing_is_claimed_for_a_skipped_view,
    "versions carry no deps": of_answers.store_no_dependencies,
    # A reader that finds nothing depends on the delete: the model says so by the clock and by a
    # delete floor that every message carries, the core by the mark, which is a version with deps.
    "nothing found adds nothing": of_answers.leave_deletes_out_of_the_token,
    "the delete floor does not travel": of_the_past.delete_marks_do_not_travel,
    "drop the entries of older views": of_views.drop_the_entries_of_older_views,
    "an unknown view does not matter": of_views.an_unknown_view_does_not_matter,
    "a token of a newer view is judged": of_views.judge_tokens_of_newer_views,
    "report before all owners acked": of_views.report_before_all_owners_have_it,
    "retire on the reports of the present members": (
        of_views.retire_on_the_reports_of_the_present_members
    ),
}


def listed_in(model: Path) -> set[str]:
    """Return the names of `MUTANTS` in the model's source."""
    for statement in ast.parse(model.read_text()).body:
        match statement:
            case ast.Assign([ast.Name("MUTANTS")], names):
                return set(ast.literal_eval(names))
    raise AssertionError(f"no MUTANTS in {model}")


def test_every_rule_of_the_model_is_accounted_for() -> None:
    assert len(BROKEN_BY) == RULES_OF_THE_MODEL
    assert not MODEL.exists() or BROKEN_BY.keys() == listed_in(MODEL)


def test_every_break_of_the_table_is_shown_by_runs_or_by_a_story() -> None:
    shown = [mutant for breaks in BREAKS for mutant in breaks.mutants.values()]
    shown += [mutant for _, mutant in (*IN_STORIES, *STORIES_OF_VIEWS)]
    assert [name for name, mutant in BROKEN_BY.items() if mutant not in shown] == []
