"""Upkeep makes a replica whole and keeps it small, and nobody waits for it."""

from collections.abc import Sequence

from node.core import messages as m
from node.core.clock import Clock, Dot
from node.core.detector import BEAT_EVERY_S
from node.core.effects import Effects
from node.core.keyspace import PARTS
from node.core.parts import ALL, Saved, from_bytes, to_bytes
from node.core.repair import GENESIS_WAIT_S
from node.core.siblings import Item, Past, Version
from node.core.token import COUNT_MAX
from node.core.view import FIRST, ViewId, actor_of, first_view
from tests.core.given import page_of_dots, row
from tests.core.test_replica import NOW, PEAR, One

SLOTS = to_bytes(ALL)
TRIO = first_view(["a1", "a2", "a3"], 1)


def trio(*fellows: str) -> One:
    """a1, whose fellows have told their ids."""
    one = One("a1", TRIO)
    for fellow in fellows:
        one.step(fellow, m.Beat(f"id of {fellow}"))
    return one


def told(effects: Effects, kind: type) -> list[str]:
    return [peer for peer, message in effects.tells if isinstance(message, kind)]


def compare(one: One, fellow: str, clock: Clock, **lists: list[str]) -> Effects:
    ended, closed = lists.get("ended", []), lists.get("closed", [])
    return one.step(fellow, row(clock, node_id=f"id of {fellow}", ended=ended, closed=closed))


def saved_parts(one: One) -> list[Saved]:
    return PARTS.decode(one.rows.read("meta", "parts") or b"")


def page(
    pull: m.Pull,
    snapshot: Clock,
    dot: Dot,
    claims: Sequence[ViewId] = (FIRST,),
    last: bool = True,
) -> m.Page:
    """The answer to this pull: one dot, of PEAR."""
    return page_of_dots(
        {PEAR: Item()},
        {dot: PEAR},
        exchange=pull.exchange,
        slots=from_bytes(pull.slots),
        snapshot=snapshot,
        claims=claims,
        last=last,
    )


def arrived(one: One) -> One:
    one.arrive()
    one.replica.upkeep.recovery.caught_up = True
    return one


# ---- arrival


def test_alone_a_node_has_arrived() -> None:
    one = One("a1", first_view(["a1"], 1))
    assert one.replica.upkeep.arrived
    assert one.replica.upkeep.recovery.caught_up
    assert [saved.whole for saved in saved_parts(one)] == [[FIRST]]


def test_all_new_is_genesis() -> None:
    one = trio("a2", "a3")
    for fellow in ("a2", "a3"):
        assert not one.replica.upkeep.arrived
        one.step(fellow, row(Clock(), node_id=f"id of {fellow}", arrived=False))
    assert one.replica.upkeep.arrived
    assert One("a1", TRIO, one.rows).replica.upkeep.arrived


def test_a_new_majority_is_genesis_after_a_moment() -> None:
    one = trio("a2")
    one.step("a2", row(Clock(), node_id="id of a2", arrived=False))
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S / 2)
    assert not one.replica.upkeep.arrived
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S)
    assert one.replica.upkeep.arrived


def test_a_former_life_or_a_fellow_that_has_arrived_forbid_genesis_by_majority() -> None:
    former, fellow = trio("a2"), trio("a2")
    former.step("a2", m.News({"a1": {"former": 1}}, {}))
    former.step("a2", row(Clock(), node_id="id of a2", arrived=False))
    fellow.step("a2", row(Clock(), node_id="id of a2", arrived=True))
    for one in (former, fellow):
        one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S)
        assert not one.replica.upkeep.arrived


def test_nobody_to_compare_with_is_caught_up_after_a_moment() -> None:
    one = trio()
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S - 0.1)
    assert not one.replica.upkeep.recovery.caught_up
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S + 2)
    assert one.replica.upkeep.recovery.caught_up


def test_a_restart_is_over_when_it_was_level_with_every_fellow() -> None:
    one = trio("a2", "a3")
    one.arrive()
    caught_up = []
    for fellow, clock in (("a2", Clock()), ("a3", Clock({"x": 1})), ("a3", Clock({"x": 1}))):
        compare(one, fellow, clock)
        one.step("a1", m.Tick())
        caught_up.append(one.replica.upkeep.recovery.caught_up)
        if fellow == "a3":
            one.replica.keyspace.note(("x", 1), PEAR)
    assert caught_up == [False, False, True]


def test_after_a_moment_those_that_can_be_reached_are_enough() -> None:
    one = trio("a2")
    one.arrive()
    compare(one, "a2", Clock())
    one.step("a1", m.LinkDown("a3"))
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S / 2)
    assert not one.replica.upkeep.recovery.caught_up
    one.step("a1", m.Tick(), NOW + GENESIS_WAIT_S)
    assert one.replica.upkeep.recovery.caught_up


def test_a_link_that_opens_brings_a_row_soon() -> None:
    one = arrived(trio())
    one.step("a1", m.Tick(), NOW + 9)
    opened = one.step("a1", m.LinkUp("a2"), NOW + 9.1)
    assert opened.asks == [("a2", m.Beat(one.replica.node_id))]
    assert not told(one.step("a1", m.Tick(), NOW + 9.6), m.Compare)
    assert told(one.step("a1", m.Tick(), NOW + 10.2), m.Compare) == ["a2"]


def test_the_last_page_of_an_arrived_fellow_is_arrival() -> None:
    for whole in (True, False):
        one = trio("a2")
        [(peer, pull)] = compare(one, "a2", Clock({"x": 1})).asks
        assert isinstance(pull, m.Pull)
        one.step(peer, page(pull, Clock({"x": 1}), ("x", 1), claims=[FIRST] if whole else []))
        assert one.replica.upkeep.arrived is whole
        assert one.replica.keyspace.clock == Clock({"x": 1})
        assert one.replica.upkeep.recovery.level_with == {"a2"}


def test_pages_follow_until_the_last_and_strays_are_dropped() -> None:
    one = trio("a2")
    [(_, pull)] = compare(one, "a2", Clock({"x": 2})).asks
    assert isinstance(pull, m.Pull)
    snapshot = Clock({"x": 2})
    stray = m.Pull(99, pull.node_id, pull.slots, pull.clock)
    assert not one.step("a2", page(stray, snapshot, ("x", 1))).records
    [(_, following)] = one.step("a2", page(pull, snapshot, ("x", 1), last=False)).asks
    node_id, content = one.replica.node_id, one.replica.keyspace.digests.of(ALL)
    known = Clock({"x": 1})
    expected = m.Pull(pull.exchange, node_id, pull.slots, known, snapshot, content=content)
    assert following == expected


# ---- lives


def test_a_first_beat_is_a_life_and_another_id_is_told_the_news() -> None:
    one = trio()
    effects = one.step("a2", m.Beat("id of a2"))
    assert one.replica.upkeep.lives.current("a2") == "id of a2"
    assert told(effects, m.News) == ["a2", "a3"]
    assert not one.step("a2", m.Beat("id of a2")).tells
    assert told(one.step("a2", m.Beat("another")), m.News) == ["a2"]


def test_who_hears_of_a_former_life_claims_the_next() -> None:
    one = trio()
    one.step("a2", m.News({"a1": {"former": 3}}, {}))
    lives = one.replica.upkeep.lives
    assert lives.table["a1"] == {"former": 3, one.replica.node_id: 4}
    assert list(one.replica.moving.ended) == [actor_of(FIRST, "former")]
    assert One("a1", TRIO, one.rows).replica.upkeep.lives.table == lives.table


def test_a_new_life_of_a_fellow_begins_with_an_empty_row() -> None:
    one = arrived(trio("a2", "a3"))
    for fellow in ("a2", "a3"):
        compare(one, fellow, Clock())
    assert one.replica.upkeep.repair.complete()
    one.step("a3", m.News({"a2": {"next": 2}}, {}))
    assert not one.replica.upkeep.repair.complete()
    assert one.replica.keyspace.low == {}
    compare(one, "a2", Clock())  # of the life before
    assert not one.replica.upkeep.repair.complete()


def test_an_ended_life_writes_no_more() -> None:
    one = trio("a2")
    one.step("a3", m.News({"a2": {"next": 2}}, {}))
    dead = (actor_of(FIRST, "id of a2"), 1)
    item = Item({dead: Version(b"v")}, Past({dead[0]: 1}))
    effects = one.step("a2", m.Replicate(1, "a3", PEAR, item, dead))
    assert not effects.tells
    assert not one.replica.peek(PEAR).versions


def test_a_pull_is_served_to_a_fellow_in_its_present_life() -> None:
    one = arrived(trio("a2"))
    assert told(one.step("a2", m.Pull(1, "id of a2", SLOTS, Clock())), m.Page) == ["a2"]
    assert not one.step("a2", m.Pull(1, "another", SLOTS, Clock())).tells
    assert not one.step("x9", m.Pull(1, "id of a2", SLOTS, Clock())).tells


# ---- rows


def written(one: One) -> str:
    one.step("a2", m.Accept(1, m.Put(PEAR, b"v")))
    return one.replica.keyspace.actor


def test_what_all_have_is_pruned_under_a_saved_clock() -> None:
    one = arrived(trio("a2", "a3"))
    actor = written(one)
    for fellow in ("a2", "a3"):
        compare(one, fellow, Clock({actor: 1}))
    assert one.replica.keyspace.stable == {actor: 1}
    records = one.step("a1", m.Tick(), NOW + BEAT_EVERY_S).records
    assert [(r.table, r.key.split("/")[0], r.value is None) for r in records] == [
        ("meta", "parts", False),
        ("log", actor, True),
    ]
    assert [saved.clock for saved in saved_parts(one)] == [Clock({actor: 1})]


def test_news_brings_what_other_shards_have() -> None:
    one = trio()
    one.step("a2", m.News({}, {"far": 7}))
    one.step("a2", m.News({}, {"far": 5, "near": 1}))
    assert one.replica.keyspace.stable == {"far": 7, "near": 1}


def test_gaps_of_an_ended_life_close_and_then_nothing_waits_for_it() -> None:
    one = arrived(trio("a2", "a3"))
    dead = actor_of(FIRST, "former")
    one.step("a2", m.News({"a1": {"former": 1}}, {}))
    item = Item({(dead, 2): Version(b"v")}, Past({dead: 2}))
    one.replica.keyspace.take(PEAR, item, (), NOW)
    gap, closed = Clock({}, {dead: {2}}), Clock({dead: 2})
    for fellow in ("a2", "a3"):
        assert one.replica.keyspace.clock == gap
        compare(one, fellow, gap, ended=[dead])
    assert one.replica.keyspace.clock == closed
    for fellow in ("a2", "a3"):
        compare(one, fellow, closed, ended=[dead], closed=[dead])
    assert one.replica.keyspace.stable == {dead: COUNT_MAX}
    assert one.replica.keyspace.lost == {dead: COUNT_MAX}


def test_who_asks_for_an_answer_gets_a_row_back() -> None:
    one = trio("a2")
    asking = row(Clock(), node_id="id of a2", answer=True)
    assert told(one.step("a2", asking), m.Compare) == ["a2"]
    assert not told(compare(one, "a2", Clock()), m.Compare)
    assert not told(one.step("x9", asking), m.Compare)


def test_beats_go_to_all_peers_and_rows_to_fellows() -> None:
    one = arrived(One())
    effects = one.step("a1", m.Tick(), NOW + 1.5)
    beats = [peer for peer, message in effects.asks if isinstance(message, m.Beat)]
    assert beats == ["a2", "b1", "b2"]
    assert told(effects, m.Compare) == ["a2"]
    assert effects.wake_at == NOW + 1.5 + BEAT_EVERY_S
    assert not one.step("a1", m.Tick(), NOW + 1.6).asks


def test_a_new_life_does_not_serve_the_snapshot_of_an_earlier_one() -> None:
    """It holds nothing of what that snapshot says, and would vouch for its absence."""
    one = trio("a2")
    for snapshot, pages in ((Clock({"x": 4}), []), (None, ["a2"])):
        pull = m.Pull(1, "id of a2", SLOTS, Clock(), snapshot)
        assert told(one.step("a2", pull), m.Page) == pages


def test_an_exchange_ends_with_the_life_that_served_it() -> None:
    one = trio("a2")
    compare(one, "a2", Clock({"x": 1}))
    assert one.replica.upkeep.repair.exchange is not None
    one.step("a3", m.News({"a2": {"id of a2": 1, "another": 2}}, {}))
    assert one.replica.upkeep.repair.exchange is None


def test_a_late_row_changes_nothing() -> None:
    one = trio("a2")
    compare(one, "a2", Clock({"x": 2}))
    assert not compare(one, "a2", Clock({"x": 1})).asks
    assert one.replica.upkeep.repair.rows["a2"].clocks_of(ALL) == [Clock({"x": 2})]
