"""While slots move: what the owners have of our data, and from which node to pull what we lack."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from node.core.model.dots import DotClock
from node.core.model.keys import SLOTS as SLOT_COUNT
from node.core.model.placement import first_view
from node.core.model.slots import ALL, Slots, from_bytes, to_bytes
from node.core.model.view import FIRST, ViewId
from node.core.replication.progress import PeerProgress, PeerSlots, progress_of
from node.core.replication.pull import GRACE_S, Repair
from node.core.storage.slot_groups import Part, Parts
from tests.core.given import parts_with, row as compare
from tests.core.pulls import A3, GAP, page, repair_with

# ---- what others have of what we hold

HALF, SECOND = ALL >> SLOT_COUNT // 2, ViewId(2, "p")


@pytest.mark.parametrize(
    ("rows", "covered"),
    [
        ({}, 0),
        ({"m1": (A3, ALL)}, 0),  # nothing is known of m2
        ({"m1": (A3, ALL), "m2": (A3, ALL)}, ALL),
        ({"m1": (A3, ALL), "m2": (GAP, ALL)}, 0),
        ({"m1": (A3, ALL), "m2": (A3, HALF)}, HALF),
        ({"m1": (A3, HALF), "m2": (A3, ALL & ~HALF)}, 0),
    ],
)
def test_slots_are_covered_when_every_owner_has_them(
    rows: dict[str, tuple[DotClock, Slots]], covered: Slots
) -> None:
    repair = Repair("m0")
    view = first_view(["m1", "m2"], 1)
    repair.on_view(view)
    held = Part(ALL, A3, [FIRST])
    for owner, (clock, slots) in rows.items():
        repair.progress[owner] = PeerProgress([PeerSlots(slots, clock, {FIRST})], set(), set())
    assert repair.covered(held, view, A3, {FIRST}) == covered
    assert repair.covered(held, view, A3, {FIRST, SECOND}) == 0  # no node claims that


def test_each_slot_is_for_its_own_owners_to_cover() -> None:
    repair = Repair("m0")
    view = first_view(["m1", "m2"], 2)
    repair.on_view(view)
    repair.progress["m1"] = PeerProgress([PeerSlots(ALL, A3, {FIRST})], set(), set())
    held = Part(ALL, A3, [FIRST])
    assert repair.covered(held, view, A3, {FIRST}) == view.slots_of_shard(0)


def test_an_owner_covers_its_own_slots_by_having_them() -> None:
    repair, view = Repair("m1"), first_view(["m1"], 1)
    repair.on_view(view)
    assert repair.covered(Part(ALL, A3, [FIRST]), view, A3, {FIRST}) == ALL


def test_rows_begin_empty_in_each_view() -> None:
    repair = repair_with(A3, A3)
    repair.next_pull("x", parts_with(DotClock()), ["m1"], 0.0, 1.0)
    repair.on_view(first_view(["m0", "m1", "m5"], 1))
    assert (repair.progress, repair.exchange, repair.shard_peers) == ({}, None, ("m1", "m5"))
    repair.on_view(first_view(["m1"], 1))
    assert repair.shard_peers == ()


# ---- whom to pull from, where slots have not arrived


def moving_parts(claims: Sequence[ViewId] = ()) -> Parts:
    """Return parts with slots gained in the second view."""
    parts = Parts()
    parts.adopt(SECOND, ALL, {FIRST, SECOND}, SECOND)
    parts.join(ALL, DotClock(), claims)
    return parts


def held_row(*held: tuple[Slots, DotClock, set[ViewId]]) -> PeerProgress:
    return PeerProgress([PeerSlots(*each) for each in held], set(), set())


def test_the_node_that_claims_most_of_what_is_lacking_is_asked_at_once() -> None:
    repair, mine = repair_with(DotClock(), DotClock()), moving_parts()
    repair.progress["m1"] = held_row((ALL, A3, {SECOND}))
    repair.progress["m2"] = held_row((ALL, A3, {FIRST}))
    pull = repair.next_pull("x", mine, ["m1", "m2"], GRACE_S, 0.0)
    assert pull is not None
    assert (pull[0], from_bytes(pull[1].slots)) == ("m2", ALL)


def test_slots_with_one_clock_on_either_side_are_pulled_together() -> None:
    repair, mine = repair_with(DotClock()), moving_parts()
    repair.progress["m1"] = held_row((HALF, A3, {SECOND}), (ALL & ~HALF, A3, {FIRST}))
    pull = repair.next_pull("x", mine, ["m1"], GRACE_S, 0.0)
    assert pull is not None
    assert from_bytes(pull[1].slots) == ALL & ~HALF  # what brings the claim that is lacking


def test_the_slots_of_a_page_are_what_the_exchange_is_about() -> None:
    """A holder with slots in different parts serves some of those that were asked for."""
    repair, mine = repair_with(A3), parts_with(DotClock())
    repair.next_pull("x", mine, ["m1"], 0.0, 1.0)
    some = replace(page(1, last=False), slots=to_bytes(HALF))
    repair.on_page(some, mine, False, 1.0)
    following = repair.next_pull("x", mine, ["m1"], 0.0, 1.0)
    assert following is not None
    assert from_bytes(following[1].slots) == HALF
    assert following[1].snapshot == A3


def test_a_row_may_shrink_by_what_is_not_ours_both() -> None:
    """What a node owns only grows; what it holds for others it forgets."""
    repair, mine = repair_with(DotClock()), parts_with(DotClock(), slots=HALF)
    wide = held_row((ALL, A3, {FIRST}))
    narrow = held_row((HALF, A3, {FIRST}))
    assert repair.note_progress("m1", wide, mine, FIRST, 1.0)
    assert repair.note_progress("m1", narrow, mine, FIRST, 2.0)
    assert not repair.note_progress("m1", held_row((HALF, GAP, {FIRST})), mine, FIRST, 3.0)
    assert repair.note_progress("stranger", held_row((ALL, A3, {FIRST})), mine, FIRST, 1.0)
    assert repair.note_progress("stranger", held_row((ALL, GAP, set())), mine, FIRST, 2.0)


def test_claims_of_retired_views_are_of_all_nodes() -> None:
    row = progress_of(compare(A3), SECOND)
    assert [held.complete_for for held in row.groups] == [set()]
    repair, mine = repair_with(DotClock()), parts_with(DotClock())
    assert repair.note_progress("m1", held_row((ALL, A3, {FIRST, SECOND})), mine, SECOND, 0.0)
    assert repair.note_progress("m1", held_row((ALL, A3, {SECOND})), mine, SECOND, 1.0)
