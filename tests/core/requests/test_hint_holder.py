"""A node of another shard keeps writes for owners, and drops them when owners have them."""

from itertools import pairwise

from node.core.membership.failure_detector import Detector
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.view import FIRST, View
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.hints import HandOver, Hint, Hinted, TakenOver
from node.core.protocol.operations import Forget
from node.core.requests.hint_holder import AGAIN_S, GIVE_WAY_S, PAUSE_S
from tests.core.moves import MOVED, SECOND, THIRD, row, settled, view_at, views
from tests.core.one import NOW, PEAR, One

LATER = NOW + 1.0  # so long after its last work for a client a node does not give way


def dot_of(n: int, view: str = "1") -> Dot:
    return f"hhhhhhrrrrrr.{view}", n


def item_of(dot: Dot, value: bytes = b"v") -> Item:
    return Item({dot: Version(value)}, Past({dot[0]: dot[1]}))


def hint(n: int, target: str = "a2", value: bytes = b"v", view: str = "1") -> Hint:
    dot = dot_of(n, view)
    return Hint(40 + n, "b2", target, PEAR, item_of(dot, value), dot)


def holder(options: Options | None = None, away: tuple[str, ...] = ("a2",)) -> One:
    """Return b1, which reaches all nodes but these."""
    one = One("b1", options=options) if options else One("b1")
    for peer in away:
        one.replica.detector.link_down(peer)
    return one


def back(one: One, *peers: str, now: float = LATER) -> None:
    for peer in peers:
        one.step("b1", events.LinkUp(peer), now)


def tick(one: One, now: float = LATER) -> list[tuple[str, HandOver]]:
    return handed(one.step("b1", events.Tick(), now))


def handed(effects: Effects) -> list[tuple[str, HandOver]]:
    return [(peer, tell) for peer, tell in effects.tells if isinstance(tell, HandOver)]


def hints_of(one: One) -> list[Dot]:
    return [kept.dot for kept in one.replica.keyspace.hints.kept.values()]


def answer(one: One, source: str, told: HandOver, now: float = LATER) -> Effects:
    return one.step(source, TakenOver(told.number, told.dot), now)


def test_a_hint_is_told_to_its_origin_when_it_is_kept() -> None:
    effects = holder().step("a1", hint(1))
    assert effects.tells == [("b2", Hinted(41, dot_of(1), "a2"))]
    assert [(record.table, record.value is None) for record in effects.records] == [("hint", False)]


def test_a_hint_that_comes_twice_is_kept_once_and_told_twice() -> None:
    one = holder()
    one.step("a1", hint(1))
    again = one.step("a1", hint(1))
    assert (len(again.tells), again.records) == (1, [])
    one.step("a1", hint(1, target="a1"))  # another owner lacks it, too
    assert len(one.replica.keyspace.hints) == 2


def test_a_target_that_is_back_is_told_and_the_hint_goes_when_it_has_it() -> None:
    one = holder()
    one.step("a1", hint(1))
    assert tick(one) == []
    back(one, "a2")
    [(peer, told)] = tick(one)
    assert (peer, told.key, told.item, told.dot) == ("a2", PEAR, item_of(dot_of(1)), dot_of(1))
    assert hints_of(one) == [dot_of(1)]
    gone = answer(one, "a2", told)
    assert [(record.table, record.value) for record in gone.records] == [("hint", None)]
    assert hints_of(one) == []


def test_an_answer_about_another_write_drops_nothing() -> None:
    one = holder(away=())
    one.step("a1", hint(1))
    [(_, told)] = tick(one)
    one.step("a2", TakenOver(told.number, dot_of(2)))
    one.step("a2", TakenOver(told.number + 1, told.dot))
    assert hints_of(one) == [dot_of(1)]


def test_an_answer_of_another_owner_is_not_the_targets() -> None:
    one = holder(away=())
    one.step("a1", hint(1))
    [(_, told)] = tick(one)
    answer(one, "a1", told)
    assert hints_of(one) == [dot_of(1)]


def test_a_hint_without_an_answer_is_handed_over_again_after_longer_and_longer_waits() -> None:
    one = holder(away=())
    one.step("a1", hint(1))
    times = []
    for n in range(1, 100):
        now = LATER + n * AGAIN_S / 2
        back(one, "a2", now=now)  # it goes on to be heard
        times += [now - LATER] * len(tick(one, now))
    gaps = [second - first for first, second in pairwise(times)]
    assert [gap / AGAIN_S for gap in gaps] == [1, 2, 4, 8, 16, 16]


def test_hints_are_handed_over_some_at_a_time_the_oldest_first() -> None:
    one = holder(Options(hints_at_once=2))
    for n in (1, 2, 3):
        one.step("a1", hint(n))
    back(one, "a2")
    first = tick(one)
    assert [told.dot for _, told in first] == [dot_of(1), dot_of(2)]
    assert tick(one) == []
    answer(one, "a2", first[0][1])
    effects = one.step("b1", events.Tick(), LATER + PAUSE_S)
    assert [told.dot for _, told in handed(effects)] == [dot_of(3)]


def test_an_answer_makes_a_node_wake_soon_for_the_next_hints() -> None:
    one = holder(Options(hints_at_once=1), away=())
    one.step("a1", hint(1))
    one.step("a1", hint(2))
    [(_, told)] = tick(one)
    assert answer(one, "a2", told).wake_at == LATER + PAUSE_S


def test_delivery_gives_way_to_clients() -> None:
    one = holder(Options(hints_at_once=8, hints_beside_clients=1))
    for n in (1, 2, 3):
        one.step("a1", hint(n))  # which is work for a client
    back(one, "a2", now=NOW)
    assert len(tick(one, NOW + GIVE_WAY_S / 2)) == 1
    assert len(tick(one, NOW + GIVE_WAY_S)) == 2


def test_one_step_hands_over_a_bounded_number_of_bytes() -> None:
    one = holder(away=())
    for n in (1, 2, 3):
        one.step("a1", hint(n, value=b"x" * 300_000))
    assert len(tick(one)) == 2


def test_hints_have_bounds_for_each_target() -> None:
    one = holder(Options(hints_max=2))
    told = [len(one.step("a1", hint(n)).tells) for n in (1, 2, 3)]
    assert told == [1, 1, 0]
    assert one.replica.keyspace.hints.turned_away == 1
    assert len(one.step("a1", hint(3, target="a1")).tells) == 1
    small = holder(Options(hint_bytes_max=1000))
    assert [len(small.step("a1", hint(n, value=b"x" * 600)).tells) for n in (1, 2)] == [1, 0]


def test_room_comes_back_when_hints_go() -> None:
    one = holder(Options(hints_max=1), away=())
    one.step("a1", hint(1))
    [(_, told)] = tick(one)
    answer(one, "a2", told)
    assert len(one.step("a1", hint(2)).tells) == 1
    kept = one.replica.keyspace.hints
    assert (dict(kept.numbers), list(kept.bytes)) == ({"a2": 1}, ["a2"])


def test_hints_survive_a_restart_in_their_order() -> None:
    one = holder()
    for n in (2, 1):
        one.step("a1", hint(n))
    again = One("b1", rows=one.rows)
    assert hints_of(again) == [dot_of(2), dot_of(1)]
    assert again.step("a1", hint(2)).records == []
    again.step("a1", hint(3))
    assert hints_of(again) == [dot_of(2), dot_of(1), dot_of(3)]


def test_numbers_go_on_where_the_clock_of_the_last_run_was_ahead() -> None:
    one = holder()
    one.step("a1", hint(1), NOW + 100)
    again = One("b1", rows=one.rows)
    again.step("a1", hint(2), NOW)
    assert hints_of(again) == [dot_of(1), dot_of(2)]
    assert hints_of(One("b1", rows=again.rows)) == [dot_of(1), dot_of(2)]


def test_a_node_that_forgets_everything_forgets_its_hints() -> None:
    one = holder()
    one.step("a1", hint(1))
    one.submit(Forget())
    assert one.rows.scan("hint", None, 9) == []


# ------------------------------------------------------------------ other views


def in_view(view: View, away: tuple[str, ...] = ()) -> One:
    """Return b1, which got a hint for a2 in the first view, in another view."""
    one = holder(away=("a2", *away))
    for node in ("a1", "a2", "b2"):
        one.step(node, m.Heartbeat(f"id of {node}"))
    one.step("a1", hint(1))
    one.step("a1", views(view))
    return one


def test_a_hint_of_an_older_view_goes_to_every_owner_and_only_then() -> None:
    one = in_view(MOVED)  # a1 a2 b2 | b1
    assert [peer for peer, _ in tick(one)] == ["a1"]
    told = HandOver(next(iter(one.replica.keyspace.hints.kept)), PEAR, Item(), dot_of(1))
    answer(one, "a1", told)
    back(one, "a2")
    assert [peer for peer, _ in tick(one)] == ["a2"]
    answer(one, "a2", told)
    assert [peer for peer, _ in tick(one)] == ["b2"]
    assert hints_of(one) == [dot_of(1)]
    answer(one, "b2", told)
    assert hints_of(one) == []


def test_a_target_that_owns_the_slot_no_more_is_not_told() -> None:
    one = in_view(view_at(SECOND, "a2", "s2"))  # a1 | b1 b2 a2
    back(one, "a2")
    [(peer, told)] = tick(one)
    assert peer == "a1"
    answer(one, "a1", told)
    assert hints_of(one) == []


def test_another_view_asks_all_its_owners_anew() -> None:
    one = in_view(MOVED)
    [(_, told)] = tick(one)
    answer(one, "a1", told)
    one.step("a1", views(MOVED, view_at(THIRD, "a2", "s2", (FIRST, SECOND))))
    assert [peer for peer, _ in tick(one)] == ["a1"]


def test_a_holder_reports_only_when_its_hints_are_handed_over() -> None:
    one = in_view(view_at(SECOND, "a2", "s2"))
    leaving, progress = one.replica.maintenance.leaving, one.replica.maintenance.repair.progress
    progress.update(dict.fromkeys(("a1", "a2", "b2"), row(DotClock())))
    assert not leaving.report()
    [(_, told)] = tick(one)
    answer(one, "a1", told)
    assert leaving.report()


def test_hints_below_the_oldest_view_go() -> None:
    one = in_view(MOVED)
    settled(one)  # as if it had been declared lost, and no node had waited for it
    tick(one)
    assert hints_of(one) == []


def test_a_hint_of_an_older_view_is_not_taken() -> None:
    """The node may have reported already that it has left that view."""
    one = in_view(MOVED)
    effects = one.step("a1", hint(2))
    assert (effects.tells, hints_of(one)) == ([], [dot_of(1)])
    assert len(one.step("a1", hint(1, view="2.p")).tells) == 1


def test_messages_of_hints_count_within_one_view_alone() -> None:
    one = holder()
    one.step("a1", hint(1), epoch=m.Epoch(SECOND, FIRST))
    assert hints_of(one) == []
    assert {Hint, Hinted, HandOver, TakenOver} <= m.BOUND_TO_VIEW


def test_a_node_is_reachable_to_itself() -> None:
    """A holder that has become an owner tells the hint to itself."""
    assert Detector("b1").reachable("b1", NOW)
    one = in_view(view_at(SECOND, "b1", "s1"))  # a1 a2 b1 | b2
    [(_, told)] = tick(one)
    answer(one, "a1", told)
    back(one, "a2")
    [(_, told)] = tick(one)
    answer(one, "a2", told)
    assert [peer for peer, _ in tick(one)] == ["b1"]
