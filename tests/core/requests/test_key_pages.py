"""Keys are listed from stores that are whole for their slots, in order, and page by page."""

from collections.abc import Sequence
from unittest.mock import patch

from node.core.model.keys import key_hash_of, row_of
from node.core.model.slots import ALL, from_bytes, to_bytes
from node.core.model.token import Token
from node.core.model.view import FIRST, ViewId
from node.core.protocol import key_pages as k, messages as m
from node.core.protocol.effects import DAMAGED, Effects, Record
from node.core.protocol.events import LinkDown, Tick
from node.core.protocol.operations import (
    KeysListed,
    ListKeys,
    Outcome,
    Put,
    Unavailable,
    Unmet,
)
from node.core.requests.key_pages import LOOKED_AT_MAX
from node.core.requests.reading import ASK_AGAIN_S, UNREACHABLE_S
from tests.core.moves import MOVED, S1, S2, SECOND, moved, settled, views
from tests.core.one import FIG, NOW, PEAR, One

KEYS = [f"key{n:02d}" for n in range(40)]


def member(address: str = "a1") -> One:
    one = One(address)
    for node in ("a1", "a2", "b1", "b2"):
        if node != address:
            one.step(node, m.Heartbeat(f"id of {node}"))
    one.arrive()
    return one


def put(one: One, key: str, value: bytes | None = b"1") -> None:
    one.step("a2", m.Accept(one.replica.next_request(NOW), Put(key, value), looked=True))


def filled() -> One:
    """Return a member of the first shard that has its part of the keys."""
    one = member()
    for key in KEYS:
        put(one, key)
    return one


def mine(one: One) -> list[str]:
    return [key for key in KEYS if one.replica.keyspace.parts.owns(_slot(key))]


def _slot(key: str) -> int:
    return int(row_of(key)[:3], 16)


def outcome_of(effects: Effects) -> Outcome | None:
    return effects.replies[0][1] if effects.replies else None


def listed(one: One, wanted: ListKeys) -> KeysListed:
    outcome = outcome_of(one.submit(wanted))
    assert isinstance(outcome, KeysListed)
    return outcome


def fetches(effects: Effects) -> list[tuple[str, k.FetchKeys]]:
    return [(peer, ask) for peer, ask in effects.asks if isinstance(ask, k.FetchKeys)]


def page(
    keys: Sequence[str],
    upto: str = "",
    slots: int = S2,
    complete_for: Sequence[ViewId] = (FIRST,),
    missing: dict[str, tuple[int, int]] | None = None,
) -> k.KeyPage:
    whole = [(to_bytes(slots), list(complete_for))]
    return k.KeyPage(7, list(keys), upto, whole, missing or {}, Token())


# ------------------------------------------------------------------ what a node holds itself
def test_lists_the_live_keys_of_its_slots_in_their_order() -> None:
    one = filled()
    put(one, mine(one)[3], None)
    found = listed(one, ListKeys(S1))
    assert found.keys == mine(one)[:3] + mine(one)[4:]
    assert (found.upto, found.certain) == ("", True)


def test_looks_into_those_slots_alone_that_have_rows() -> None:
    one = filled()
    rows = one.replica.keyspace.rows
    with patch.object(rows, "names", wraps=rows.names) as names:
        assert list(listed(one, ListKeys(S1)).keys) == mine(one)
    looked_into = [int(call.args[1][:3], 16) for call in names.call_args_list]
    assert sorted(looked_into) == sorted({_slot(key) for key in mine(one)})


def test_lists_a_range_of_keys_up_to_a_limit_and_says_where_to_go_on() -> None:
    one = filled()
    keys = mine(one)
    found = listed(one, ListKeys(S1, start=keys[2], end=keys[12], limit=4))
    assert (found.keys, found.upto) == (keys[2:6], keys[6])
    rest = listed(one, ListKeys(S1, start=found.upto, end=keys[12], limit=6))
    assert (rest.keys, rest.upto) == (keys[6:12], "")


def test_pages_go_through_one_slot_whose_keys_do_not_fit_into_one_scan() -> None:
    one = member()
    one.rows.apply([Record("item", f"{row_of(PEAR)[:3]}/{n:05d}", b"\x92\x80\x93\x80\x90\xc0")
                    for n in range(LOOKED_AT_MAX + 10)])  # fmt: skip
    one.replica.keyspace.slot_counts.change(_slot(PEAR), 0, 6 * (LOOKED_AT_MAX + 10))
    found = listed(one, ListKeys(S1, limit=5))
    assert (found.keys, found.upto) == ([], f"{LOOKED_AT_MAX:05d}")


def test_its_token_depends_on_the_writes_of_the_keys_that_were_looked_at() -> None:
    one = member()
    put(one, PEAR)
    put(one, "plum", None)
    actor = one.replica.keyspace.actor
    assert listed(one, ListKeys(S1)).token.exact == {
        (actor, 1): key_hash_of(PEAR, True),
        (actor, 2): key_hash_of("plum", True),
    }
    assert set(listed(one, ListKeys(S1, end="pf")).token.exact) == {(actor, 1)}


def test_its_token_depends_on_what_the_writers_had_seen() -> None:
    one = member()
    seen = Token({}, {("z", 9): key_hash_of("far", True)})
    one.step("a2", m.Accept(one.replica.next_request(NOW), Put(PEAR, b"1", token=seen)))
    assert ("z", 9) in listed(one, ListKeys(S1)).token.exact


def test_waits_for_a_write_that_the_token_names_and_then_refuses() -> None:
    one = filled()
    token = Token({}, {("x", 4): key_hash_of(PEAR, True)})
    wanted = ListKeys(S1, token=token, timeout_s=1.0)
    assert outcome_of(one.submit(wanted)) is None
    late = one.step("a1", Tick(), NOW + 1.0)
    assert outcome_of(late) == Unmet({"x": (0, 4)})


def test_a_write_of_other_slots_is_not_waited_for() -> None:
    one = filled()
    token = Token({}, {("x", 4): key_hash_of(FIG, True)})
    assert listed(one, ListKeys(S1, token=token)).keys == mine(one)


# ------------------------------------------------------------------ what others hold
def test_asks_an_owner_for_slots_of_another_shard() -> None:
    one = member()
    asked = fetches(one.submit(ListKeys(S2, start="a", end="x", limit=9)))
    [(peer, fetch)] = asked
    assert peer in ("b1", "b2")
    assert (fetch.start, fetch.end, fetch.limit) == ("a", "x", 9)
    assert from_bytes(fetch.slots) == S2
    assert outcome_of(one.step(peer, page([FIG], upto="g"))) == KeysListed([FIG], "g", Token())


def test_no_slots_have_no_keys() -> None:
    assert listed(filled(), ListKeys(0)).keys == []


def test_asks_the_next_owner_when_the_first_is_silent_or_not_whole() -> None:
    one = member()
    [(first, _)] = fetches(one.submit(ListKeys(S2)))
    [(second, _)] = fetches(one.step("a1", Tick(), NOW + ASK_AGAIN_S))
    assert {first, second} == {"b1", "b2"}
    assert outcome_of(one.step(first, page([], complete_for=()))) is None
    assert outcome_of(one.step(second, page([FIG]))) == KeysListed([FIG], "", Token())


def test_asks_all_again_when_none_was_whole() -> None:
    one = member()
    [(first, _)] = fetches(one.submit(ListKeys(S2)))
    [(second, _)] = fetches(one.step(first, page([], complete_for=())))
    assert outcome_of(one.step(second, page([], complete_for=()))) is None
    assert fetches(one.step("a1", Tick(), NOW + ASK_AGAIN_S))


def test_gives_a_page_to_a_node_that_asks() -> None:
    one = filled()
    fetch = k.FetchKeys(3, to_bytes(ALL), "", "", 100, Token())
    [(peer, said)] = one.step("b1", fetch).tells
    assert isinstance(said, k.KeyPage)
    assert (peer, said.request, said.keys) == ("b1", 3, mine(one))
    assert said.slots_complete_for(FIRST) == S1
    assert said.slots_complete_for(SECOND) == 0


def test_says_which_writes_of_its_slots_it_lacks() -> None:
    one = filled()
    token = Token({}, {("x", 4): key_hash_of(PEAR, True), ("y", 2): key_hash_of(FIG, True)})
    fetch = k.FetchKeys(3, to_bytes(S1), "", "", 100, token)
    [(_, said)] = one.step("b1", fetch).tells
    assert isinstance(said, k.KeyPage)
    assert said.missing == {"x": (0, 4)}


def test_a_damaged_row_makes_the_page_whole_for_no_slot() -> None:
    one = filled()
    row = row_of(mine(one)[0])
    one.replica.keyspace._cache.drop(mine(one)[0])
    one.rows.apply([Record("item", row, DAMAGED)])
    [(_, said)] = one.step("b1", k.FetchKeys(3, to_bytes(S1), "", "", 100, Token())).tells
    assert isinstance(said, k.KeyPage)
    assert (said.keys, said.complete_for) == ([], [])


def test_says_soon_that_no_owner_can_be_reached() -> None:
    one = member()
    for peer in ("b1", "b2"):
        one.step(peer, LinkDown(peer))
    assert outcome_of(one.submit(ListKeys(S2))) is None
    late = outcome_of(one.step("a1", Tick(), NOW + UNREACHABLE_S))
    assert isinstance(late, Unavailable)
    assert late.definite


# ------------------------------------------------------------------ while slots move
def test_while_slots_move_the_list_is_the_union_as_far_as_all_pages_reach() -> None:
    one = moved("b2")  # it owns slots of s1 now, and has nothing of the first view
    own = mine(one)[0]
    put(one, own)
    [(peer, _)] = fetches(one.submit(ListKeys(S1)))
    said = page([PEAR, "quince"], "r", slots=S1, complete_for=(FIRST,))
    outcome = outcome_of(one.step(peer, said))
    assert isinstance(outcome, KeysListed)
    assert (outcome.keys, outcome.upto) == ([own, PEAR, "quince"], "r")
    assert not outcome.certain


def test_an_owner_that_has_everything_already_is_enough() -> None:
    one = moved("b2")
    [(peer, _)] = fetches(one.submit(ListKeys(S1)))
    whole = page([PEAR], slots=S1, complete_for=(FIRST, SECOND))
    assert outcome_of(one.step(peer, whole)) == KeysListed([PEAR], "", Token())


def test_a_write_that_only_one_of_the_pages_lacks_is_not_missing() -> None:
    one = moved("b2")
    token = Token({}, {("x", 4): key_hash_of(PEAR, True)})
    [(peer, _)] = fetches(one.submit(ListKeys(S1, token=token)))
    outcome = outcome_of(one.step(peer, page([PEAR], slots=S1, complete_for=(FIRST,))))
    assert isinstance(outcome, KeysListed)
    assert outcome.keys == [PEAR]


def test_begins_again_in_another_view() -> None:
    one = member("b2")
    [(first, _)] = fetches(one.submit(ListKeys(S1)))
    one.step("a1", views(MOVED))
    again = fetches(one.step("b2", Tick(), NOW + 0.01))
    assert [peer for peer, _ in again] != []
    assert first in ("a1", "a2")


def test_a_page_of_another_oldest_view_counts_for_nothing() -> None:
    """It was whole by fewer views, or by more, than this node asks for."""
    one = moved("b2")
    [(peer, _)] = fetches(one.submit(ListKeys(S1)))
    whole = page([PEAR], slots=S1, complete_for=(FIRST, SECOND))
    assert outcome_of(one.step(peer, whole, epoch=m.Epoch(SECOND, SECOND))) is None
    assert outcome_of(one.step(peer, whole)) == KeysListed([PEAR], "", Token())


def test_pages_that_came_before_the_oldest_view_rose_count_for_nothing() -> None:
    one = moved("b2")
    own = mine(one)[0]
    [(peer, _)] = fetches(one.submit(ListKeys(S1)))
    assert outcome_of(one.step(peer, page(["old"], slots=S1, complete_for=(SECOND,)))) is None
    settled(one)
    put(one, own)
    outcome = outcome_of(one.step("b2", Tick(), NOW + 0.01))
    assert isinstance(outcome, KeysListed)
    assert (outcome.keys, outcome.certain) == ([own], True)
