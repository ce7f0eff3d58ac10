"""What has changed since a clock: what a holder tells, and whom the origin asks."""

from dataclasses import replace as with_bounds
from typing import Any

from msgspec.structs import replace

from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item, Version
from node.core.model.keys import key_hash_of, row_of
from node.core.model.options import Options
from node.core.model.slots import ALL, to_bytes
from node.core.model.token import ALL_KEYS, Token
from node.core.model.view import FIRST, ViewId
from node.core.protocol import messages as m
from node.core.protocol.effects import DAMAGED, Effects, Record
from node.core.protocol.events import LinkDown, Tick
from node.core.protocol.operations import Outcome, Put, Unavailable
from node.core.protocol.watching import (
    SHORT_VALUE_BYTES,
    Cause,
    ChangePage,
    ChangesListed,
    FetchChanges,
    ListChanges,
    Untraceable,
)
from node.core.requests.changes_origin import NO_LONGER_KNOWN, PATIENCE_S, TOO_MANY
from node.core.requests.reading import ASK_AGAIN_S
from tests.core.given import OPTIONS
from tests.core.moves import MOVED, S1, S2, SECOND, moved, views
from tests.core.one import FIG, NOW, PEAR, One

EMPTY = DotClock()
ANY = ListChanges(S1, "", "", EMPTY, 0.0, 2.0)
ELSEWHERE = replace(ANY, slots=S2)


def member(address: str = "a1") -> One:
    one = One(address)
    for node in ("a1", "a2", "b1", "b2"):
        if node != address:
            one.step(node, m.Heartbeat(f"id of {node}"))
    one.arrive()
    return one


def put(one: One, key: str, value: bytes | None = b"1", token: Token | None = None) -> None:
    write = Put(key, value, Mode.LWW, token or Token())
    one.step("a2", m.Accept(one.replica.next_request(NOW), write, looked=True))


def outcome_of(effects: Effects) -> Outcome | None:
    return effects.replies[0][1] if effects.replies else None


def listed(one: One, wanted: ListChanges = ANY) -> ChangesListed:
    """What one's own store tells, tick by tick."""
    outcome, now = outcome_of(one.submit(wanted)), NOW
    while outcome is None:
        now += 0.01
        outcome = outcome_of(one.step(one.replica.address, Tick(), now))
    assert isinstance(outcome, ChangesListed)
    return outcome


def told(found: ChangesListed) -> list[tuple[str, bytes | None]]:
    return [(c.key, c.version.value if c.version else b"?") for c in found.changes]


def fetches(effects: Effects) -> list[tuple[str, FetchChanges]]:
    return [(peer, ask) for peer, ask in effects.asks if isinstance(ask, FetchChanges)]


def page(fetch: FetchChanges, views: tuple[ViewId, ...] = (FIRST,), **more: Any) -> ChangePage:
    clock = DotClock({"b": 1})
    whole = ChangePage(fetch.request, fetch.turn, fetch.slots, clock, views)
    return replace(whole, **more)


# ------------------------------------------------------------------ a holder
def test_without_a_clock_it_tells_its_own() -> None:
    one = member()
    put(one, PEAR)
    found = listed(one, replace(ANY, clock=None))
    assert (found.changes, found.read) == ([], [(S1, one.replica.keyspace.clock)])


def test_it_tells_what_the_clock_lacks_within_the_range() -> None:
    one = member()
    for key in ("apple", PEAR, "plum", FIG):
        put(one, key)
    assert told(listed(one)) == [(key, b"1") for key in (PEAR, "plum") if owned(one, key)]
    some = replace(ANY, start=PEAR, end="pf")
    assert told(listed(one, some)) == [(PEAR, b"1")]
    known = one.replica.keyspace.clock.copy()
    put(one, PEAR, None)
    assert told(listed(one, replace(ANY, clock=known))) == [(PEAR, None)]


def owned(one: One, key: str) -> bool:
    return one.replica.keyspace.parts.owns(int(row_of(key)[:3], 16))


def test_it_tells_what_a_write_depends_on_and_not_the_token_itself() -> None:
    one = member()
    token = Token({"y": 3}, {("x", 4): key_hash_of(FIG, True)}, ALL_KEYS)
    put(one, PEAR, token=token)
    (change,) = listed(one).changes
    assert change.version is not None
    assert change.version.deps == Token()
    assert set(change.causes) == {
        Cause("x", 4, 1 << int(row_of(FIG)[:3], 16)),
        Cause("y", 3, ALL, is_floor=True),
    }


def test_it_tells_values_that_were_replaced_while_it_was_watched() -> None:
    one = member()
    put(one, PEAR, b"unseen")
    put(one, PEAR, b"1")
    listed(one)
    put(one, PEAR, b"2")
    put(one, PEAR, b"x" * (SHORT_VALUE_BYTES + 1))
    put(one, PEAR, b"3")
    found = listed(one)
    assert [value for _, value in told(found)] == [b"?", b"1", b"2", b"", b"3"]
    assert list(found.sizes.values()) == [SHORT_VALUE_BYTES + 1]


def test_it_leaves_long_values_out() -> None:
    one = member()
    put(one, PEAR, b"x" * (SHORT_VALUE_BYTES + 1))
    found = listed(one)
    assert (told(found), list(found.sizes.values())) == ([(PEAR, b"")], [SHORT_VALUE_BYTES + 1])


def test_it_walks_its_rows_where_the_log_does_not_know_a_write() -> None:
    options = small(log_entries_max=2, log_dropped_at_once_max=2, log_recent_max=0)
    one = One(options=options)
    one.arrive()
    keys = [key for key in (f"key{n:02d}" for n in range(40)) if owned(one, key)][:12]
    listed(one)  # from now on it is watched
    for key in keys:
        put(one, key)
    put(one, keys[0], b"2")
    found = told(listed(one))
    assert sorted({key for key, _ in found}) == keys
    assert {(keys[0], b"1"), (keys[0], b"2")} <= {*found}


def small(**more: int) -> Options:
    """Return bounds that are soon reached."""
    bounds: dict[str, int] = {"page_rows": 4, "page_dots_max": 5, **more}
    return with_bounds(OPTIONS, **bounds)


def test_pages_go_on_where_the_log_knows_all() -> None:
    one = One(options=small())
    one.arrive()
    keys = [key for key in (f"key{n:02d}" for n in range(60)) if owned(one, key)]
    for key in keys:
        put(one, key)
    assert [key for key, _ in told(listed(one))] == keys


def test_a_higher_oldest_view_makes_it_walk_its_rows() -> None:
    one = member()
    put(one, PEAR)
    known = one.replica.keyspace.clock.copy()
    for part in one.replica.keyspace.parts:
        part.clock.oldest_view = SECOND
    [(_, said)] = one.step("b1", FetchChanges(3, 1, to_bytes(S1), "", "", known)).tells
    assert isinstance(said, ChangePage)
    assert said.scanned


def test_it_tells_nothing_of_slots_that_it_does_not_hold_or_cannot_read() -> None:
    one = member()
    put(one, PEAR)
    [(_, said)] = one.step("b1", FetchChanges(3, 1, to_bytes(S2), "", "", EMPTY)).tells
    assert said == ChangePage(3, 1)
    one.replica.keyspace._cache.drop(PEAR)
    one.rows.apply([Record("item", row_of(PEAR), DAMAGED)])
    [(_, said)] = one.step("b1", FetchChanges(3, 1, to_bytes(S1), "", "", EMPTY)).tells
    assert said == ChangePage(3, 1)


# ------------------------------------------------------------------ the origin
def test_it_asks_an_owner_and_goes_on_until_that_has_no_more() -> None:
    one = member()
    [(peer, fetch)] = fetches(one.submit(ELSEWHERE))
    item = Item({("b", 1): Version(b"1")})
    upto = DotClock({"b": 1})
    first = page(fetch, dots={("b", 1): FIG}, items={FIG: item}, upto=upto)
    [(again, second)] = fetches(one.step(peer, first))
    assert (again, second.clock, second.turn) == (peer, upto, 2)
    later = page(second, dots={("b", 1): FIG}, items={FIG: item})
    found = outcome_of(one.step(peer, later))
    assert isinstance(found, ChangesListed)
    assert told(found) == [(FIG, b"1")]


def test_a_walk_counts_up_to_the_clock_of_its_first_page() -> None:
    one = member()
    [(peer, fetch)] = fetches(one.submit(ELSEWHERE))
    [(_, second)] = fetches(one.step(peer, page(fetch, scanned=True, next_key=FIG)))
    assert (second.next_key, second.clock) == (FIG, EMPTY)
    grown = page(second, scanned=True, clock=DotClock({"b": 5}))
    found = outcome_of(one.step(peer, grown))
    assert isinstance(found, ChangesListed)
    assert [clock for _, clock in found.read] == [DotClock({"b": 1})]


def test_an_owner_that_is_silent_or_not_whole_or_holds_nothing_is_passed_over() -> None:
    one = member()
    [(first, fetch)] = fetches(one.submit(ELSEWHERE))
    [(second, later)] = fetches(one.step("a1", Tick(), NOW + PATIENCE_S))
    assert {first, second} == {"b1", "b2"}
    assert outcome_of(one.step(first, page(fetch))) is None  # too late
    assert outcome_of(one.step(second, page(later, views=()))) is None
    [(third, again)] = fetches(one.step("a1", Tick(), NOW + PATIENCE_S + ASK_AGAIN_S))
    nothing = ChangePage(again.request, again.turn)
    [(fourth, last)] = fetches(one.step(third, nothing))
    assert isinstance(outcome_of(one.step(fourth, page(last))), ChangesListed)


def test_it_gives_up_when_its_time_is_over() -> None:
    one = member()
    for peer in ("b1", "b2"):
        one.step(peer, LinkDown(peer))
    assert outcome_of(one.submit(ELSEWHERE)) is None
    assert isinstance(outcome_of(one.step("a1", Tick(), NOW + 2.0)), Unavailable)


def test_deletes_that_no_holder_can_know_of_are_untraceable() -> None:
    one = member()
    asked = one.submit(replace(ELSEWHERE, age_s=9.0))
    [(first, fetch)] = fetches(asked)
    [(second, later)] = fetches(one.step(first, page(fetch, scanned=True, kept_s=8.0)))
    assert first != second
    outcome = outcome_of(one.step(second, page(later, scanned=True, kept_s=8.0)))
    assert outcome == Untraceable(NO_LONGER_KNOWN)


def test_too_many_changes_are_untraceable() -> None:
    one = One(options=small(changes_max=2))
    one.arrive()
    for key in [key for key in (f"key{n:02d}" for n in range(20)) if owned(one, key)]:
        put(one, key)
    assert outcome_of(one.submit(ANY)) == Untraceable(TOO_MANY)


def test_it_begins_again_in_another_view() -> None:
    one = member("b2")
    [(peer, fetch)] = fetches(one.submit(ANY))
    one.step("a1", views(MOVED))
    assert outcome_of(one.step(peer, page(fetch), epoch=m.Epoch(SECOND, FIRST))) is None
    assert fetches(one.step("b2", Tick(), NOW + 0.01))


def test_while_slots_move_it_asks_until_each_view_is_whole() -> None:
    one = moved("b2")  # it owns slots of s1 now, and has nothing of the first view
    put(one, PEAR, b"new")
    [(peer, fetch)] = fetches(one.submit(ANY))
    old = Item({("a", 1): Version(b"old")})
    said = page(fetch, dots={("a", 1): PEAR}, items={PEAR: old}, clock=DotClock({"a": 1}))
    found = outcome_of(one.step(peer, said))
    assert isinstance(found, ChangesListed)
    assert (PEAR, b"old") in told(found)
    assert len(found.read) > 1
