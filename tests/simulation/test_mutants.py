"""A simulator that has never gone red proves nothing: it must notice every rule that is broken."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import cycle

import pytest

from cluster.campaign import Verdict, run_seed
from cluster.witness import ViolationError
from tests.simulation import (
    directed,
    directed_custody,
    directed_deletes,
    directed_past,
    directed_views,
)
from tests.simulation.breaks import Breaks
from tests.simulation.mutants import OF_A_REPLICA
from tests.simulation.mutants_of_answers import (
    OF_ANSWERS,
    leave_absent_keys_out_of_a_full_exchange,
    leave_deletes_out_of_the_token,
    take_messages_of_lives_that_ended,
)
from tests.simulation.mutants_of_custody import (
    a_context_loses_its_floor,
    acks_of_two_views_are_added_up,
    acks_outlive_their_view,
    forget_before_the_claims_are_taken,
    rows_that_have_gone_come_back_with_a_page,
)
from tests.simulation.mutants_of_the_past import (
    claim_every_view_that_names_us,
    delete_marks_do_not_travel,
    prune_the_key_log_at_once,
)
from tests.simulation.mutants_of_views import (
    OF_VIEWS,
    a_view_id_names_the_proposers_address,
    handle_messages_of_other_views,
    judge_tokens_of_newer_views,
    nothing_is_claimed_for_a_skipped_view,
    propose_from_outside,
    the_losers_owners_forget_what_they_took_in,
)
from tests.simulation.test_seeds import SEEDS

BREAKS = (OF_A_REPLICA, OF_ANSWERS, OF_VIEWS)
IN_RUNS = [(breaks, name) for breaks in BREAKS for name in breaks.mutants]
IN_STORIES = [
    (directed.a_late_copy_meets_an_empty_disk, leave_absent_keys_out_of_a_full_exchange),
    (directed.a_late_write_of_a_life_that_ended, take_messages_of_lives_that_ended),
]


def runs_that_show(breaks: Breaks, name: str, seeds: Iterable[int]) -> Iterator[Verdict]:
    """Of these the runs that break a promise when the rule is broken."""
    for seed in seeds:
        with breaks.mutants[name]():
            verdict = run_seed(seed)
        if verdict.failure.startswith(f"seed {seed} is red: {verdict.kind}: "):
            yield verdict


@pytest.mark.parametrize(("breaks", "name"), IN_RUNS, ids=[name for _, name in IN_RUNS])
def test_runs_notice_a_broken_rule(breaks: Breaks, name: str) -> None:
    """By a broken promise, not by an error of the break itself; and the seed is green without, as
    those of `SEEDS` are known to be."""
    red = next(runs_that_show(breaks, name, breaks.seeds_for(name)), None)
    assert red is not None, f"no promise was broken by {name}"
    assert red.seed in SEEDS or not run_seed(red.seed).failure


STORIES_OF_VIEWS = [
    (directed_views.what_the_beaten_side_took_in, the_losers_owners_forget_what_they_took_in),
    (directed_views.a_wish_of_one_who_has_left, propose_from_outside),
    (directed_views.a_proposer_whose_disk_is_lost, a_view_id_names_the_proposers_address),
    (directed_views.views_that_nobody_took_part_in, nothing_is_claimed_for_a_skipped_view),
    (directed_custody.what_came_back_to_who_had_it_before, acks_outlive_their_view),
    (directed_custody.a_comparison_of_two_views_ago, handle_messages_of_other_views),
    (directed_custody.a_write_over_three_views, acks_of_two_views_are_added_up),
    (directed_custody.slots_that_nobody_wrote_to, forget_before_the_claims_are_taken),
    (directed_deletes.a_delete_below_the_floor, a_context_loses_its_floor),
    (
        directed_deletes.a_page_that_was_read_before_the_delete,
        rows_that_have_gone_come_back_with_a_page,
    ),
    (directed_past.who_was_away_is_sent_what_it_missed, prune_the_key_log_at_once),
    (directed_past.who_has_forgotten_owns_again, claim_every_view_that_names_us),
    (directed_past.a_living_node_is_declared_lost, judge_tokens_of_newer_views),
    (directed_past.a_lost_node_is_asked_to_delete, judge_tokens_of_newer_views),
    (directed_past.what_a_delete_depended_on, delete_marks_do_not_travel),
    (directed_past.what_a_delete_depended_on, leave_deletes_out_of_the_token),
]


def has_bad_ending(
    story: Callable[[float, int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> bool:
    for moment_s, seed in zip(directed.MOMENTS_S, cycle(directed.SEEDS), strict=False):
        with mutant():
            try:
                story(moment_s, seed)
            except ViolationError:
                return True
    return False


@pytest.mark.parametrize(("story", "mutant"), IN_STORIES)
def test_stories_notice_a_broken_rule(
    story: Callable[[float, int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> None:
    assert not has_bad_ending(story, nullcontext)
    assert has_bad_ending(story, mutant)


@pytest.mark.parametrize(("story", "mutant"), STORIES_OF_VIEWS)
def test_stories_of_views_notice_a_broken_rule(
    story: Callable[[int], None], mutant: Callable[[], AbstractContextManager[object]]
) -> None:
    for seed in directed.SEEDS:
        story(seed)
        with mutant(), pytest.raises(ViolationError):
            story(seed)
