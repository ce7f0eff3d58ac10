"""Upkeep makes a replica whole and keeps it small, and no request waits for it."""

from collections.abc import Sequence

from node.core.model.actors import actor_of
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.pace import USUAL
from node.core.model.placement import first_view
from node.core.model.slots import ALL, from_bytes, to_bytes
from node.core.model.token import COUNT_MAX
from node.core.model.view import FIRST, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Put
from node.core.replication.pull import GENESIS_WAIT_S
from node.core.storage.keyspace import PARTS
from node.core.storage.slot_groups import SavedPart
from tests.core.given import page_of_dots, row
from tests.core.one import NOW, PEAR, One

SLOTS = to_bytes(ALL)
TRIO = first_view(["a1", "a2", "a3"], 1)


def trio(*shard_peers: str) -> One:
    """Return a1, to which its shard peers have told their ids."""
    one = One("a1", TRIO)
    for shard_peer in shard_peers:
        one.step(shard_peer, m.Heartbeat(f"id of {shard_peer}"))
    return one


def told(effects: Effects, kind: type) -> list[str]:
    return [peer for peer, message in effects.tells if isinstance(message, kind)]


def compare(one: One, shard_peer: str, clock: DotClock, **lists: list[str]) -> Effects:
    ended, closed = lists.get("ended", []), lists.get("closed", [])
    return one.step(
        shard_peer, row(clock, node_id=f"id of {shard_peer}", ended=ended, closed=closed)
    )


def saved_parts(one: One) -> list[SavedPart]:
    return PARTS.decode(one.rows.read("meta", "parts") or b"")


def page(
    pull: m.Pull,
    snapshot: DotClock,
    dot: Dot,
    complete_for: Sequence[ViewId] = (FIRST,),
    last: bool = True,
) -> m.Page:
    """Return the answer to this pull: one dot, of PEAR."""
    return page_of_dots(
        {PEAR: Item()},
        {dot: PEAR},
        exchange=pull.exchange,
        slots=from_bytes(pull.slots),
        snapshot=snapshot,
        complete_for=complete_for,
        last=last,
    )


def arrived(one: One) -> One:
    one.arrive()
    one.replica.maintenance.bootstrap.caught_up = True
    return one


# ---- arrival


def test_alone_a_node_has_arrived() -> None:
    one = One("a1", first_view(["a1"], 1))
    assert one.replica.maintenance.arrived
    assert one.replica.maintenance.bootstrap.caught_up
    assert [saved.complete_for for saved in saved_parts(one)] == [[FIRST]]


def test_all_new_is_genesis() -> None:
    one = trio("a2", "a3")
    for shard_peer in ("a2", "a3"):
        assert not one.replica.maintenance.arrived
        one.step(shard_peer, row(DotClock(), node_id=f"id of {shard_peer}", arrived=False))
    assert one.replica.maintenance.arrived
    assert One("a1", TRIO, one.rows).replica.maintenance.arrived


def test_a_new_majority_is_genesis_after_a_moment() -> None:
    one = trio("a2")
    one.step("a2", row(DotClock(), node_id="id of a2", arrived=False))
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S / 2)
    assert not one.replica.maintenance.arrived
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S)
    assert one.replica.maintenance.arrived


def test_a_former_incarnation_or_a_shard_peer_that_has_arrived_forbid_genesis_by_majority() -> None:
    former, shard_peer = trio("a2"), trio("a2")
    former.step("a2", m.Gossip({"a1": {"former": 1}}, {}))
    former.step("a2", row(DotClock(), node_id="id of a2", arrived=False))
    shard_peer.step("a2", row(DotClock(), node_id="id of a2", arrived=True))
    for one in (former, shard_peer):
        one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S)
        assert not one.replica.maintenance.arrived


def test_a_node_without_peers_to_compare_with_is_caught_up_after_a_moment() -> None:
    one = trio()
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S - 0.1)
    assert not one.replica.maintenance.bootstrap.caught_up
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S + 2)
    assert one.replica.maintenance.bootstrap.caught_up


def test_a_restart_is_over_when_it_was_level_with_every_shard_peer() -> None:
    one = trio("a2", "a3")
    one.arrive()
    caught_up = []
    for shard_peer, clock in (
        ("a2", DotClock()),
        ("a3", DotClock({"x": 1})),
        ("a3", DotClock({"x": 1})),
    ):
        compare(one, shard_peer, clock)
        one.step("a1", events.Tick())
        caught_up.append(one.replica.maintenance.bootstrap.caught_up)
        if shard_peer == "a3":
            one.replica.keyspace.note(("x", 1), PEAR)
    assert caught_up == [False, False, True]


def test_after_a_moment_those_that_can_be_reached_are_enough() -> None:
    one = trio("a2")
    one.arrive()
    compare(one, "a2", DotClock())
    one.step("a1", events.LinkDown("a3"))
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S / 2)
    assert not one.replica.maintenance.bootstrap.caught_up
    one.step("a1", events.Tick(), NOW + GENESIS_WAIT_S)
    assert one.replica.maintenance.bootstrap.caught_up


def test_a_link_that_opens_brings_a_row_soon() -> None:
    one = arrived(trio())
    one.step("a1", events.Tick(), NOW + 9)
    opened = one.step("a1", events.LinkUp("a2"), NOW + 9.1)
    assert opened.asks == [("a2", m.Heartbeat(one.replica.node_id))]
    assert not told(one.step("a1", events.Tick(), NOW + 9.6), m.Compare)
    assert told(one.step("a1", events.Tick(), NOW + 10.2), m.Compare) == ["a2"]


def test_the_last_page_of_an_arrived_shard_peer_is_arrival() -> None:
    for whole in (True, False):
        one = trio("a2")
        [(peer, pull)] = compare(one, "a2", DotClock({"x": 1})).asks
        assert isinstance(pull, m.Pull)
        one.step(
            peer, page(pull, DotClock({"x": 1}), ("x", 1), complete_for=[FIRST] if whole else [])
        )
        assert one.replica.maintenance.arrived is whole
        assert one.replica.keyspace.clock == DotClock({"x": 1})
        assert one.replica.maintenance.bootstrap.level_with == {"a2"}


def test_pages_follow_until_the_last_and_strays_are_dropped() -> None:
    one = trio("a2")
    [(_, pull)] = compare(one, "a2", DotClock({"x": 2})).asks
    assert isinstance(pull, m.Pull)
    snapshot = DotClock({"x": 2})
    stray = m.Pull(99, pull.node_id, pull.slots, pull.clock)
    assert not one.step("a2", page(stray, snapshot, ("x", 1))).records
    [(_, following)] = one.step("a2", page(pull, snapshot, ("x", 1), last=False)).asks
    node_id, content = one.replica.node_id, one.replica.keyspace.content_hashes.of(ALL)
    known = DotClock({"x": 1})
    expected = m.Pull(pull.exchange, node_id, pull.slots, known, snapshot, content=content)
    assert following == expected


# ---- incarnations


def test_a_first_beat_is_a_life_and_another_id_is_told_the_news() -> None:
    one = trio()
    effects = one.step("a2", m.Heartbeat("id of a2"))
    assert one.replica.maintenance.incarnations.current("a2") == "id of a2"
    assert told(effects, m.Gossip) == ["a2", "a3"]
    assert not one.step("a2", m.Heartbeat("id of a2")).tells
    assert told(one.step("a2", m.Heartbeat("another")), m.Gossip) == ["a2"]


def test_a_node_that_hears_of_a_former_incarnation_claims_the_next() -> None:
    one = trio()
    one.step("a2", m.Gossip({"a1": {"former": 3}}, {}))
    incarnations = one.replica.maintenance.incarnations
    assert incarnations.table["a1"] == {"former": 3, one.replica.node_id: 4}
    assert list(one.replica.views.past_incarnations) == [actor_of(FIRST, "former")]
    assert One("a1", TRIO, one.rows).replica.maintenance.incarnations.table == incarnations.table


def test_a_new_incarnation_of_a_shard_peer_begins_with_an_empty_row() -> None:
    one = arrived(trio("a2", "a3"))
    for shard_peer in ("a2", "a3"):
        compare(one, shard_peer, DotClock())
    assert one.replica.maintenance.repair.complete()
    one.step("a3", m.Gossip({"a2": {"next": 2}}, {}))
    assert not one.replica.maintenance.repair.complete()
    assert one.replica.keyspace.watermarks.shard == {}
    compare(one, "a2", DotClock())  # of the incarnation before
    assert not one.replica.maintenance.repair.complete()


def test_an_ended_life_writes_no_more() -> None:
    one = trio("a2")
    one.step("a3", m.Gossip({"a2": {"next": 2}}, {}))
    dead = (actor_of(FIRST, "id of a2"), 1)
    item = Item({dead: Version(b"v")}, Past({dead[0]: 1}))
    effects = one.step("a2", m.Replicate(1, "a3", PEAR, item, dead))
    assert not effects.tells
    assert not one.replica.peek(PEAR).versions


def test_a_pull_is_served_to_a_shard_peer_in_its_present_incarnation() -> None:
    one = arrived(trio("a2"))
    assert told(one.step("a2", m.Pull(1, "id of a2", SLOTS, DotClock())), m.ItemPage) == ["a2"]
    assert not one.step("a2", m.Pull(1, "another", SLOTS, DotClock())).tells
    assert not one.step("x9", m.Pull(1, "id of a2", SLOTS, DotClock())).tells


# ---- rows


def written(one: One) -> str:
    one.step("a2", m.Accept(1, Put(PEAR, b"v")))
    return one.replica.keyspace.actor


def test_what_all_have_is_pruned_under_a_saved_clock() -> None:
    one = arrived(trio("a2", "a3"))
    actor = written(one)
    for shard_peer in ("a2", "a3"):
        compare(one, shard_peer, DotClock({actor: 1}))
    assert one.replica.keyspace.watermarks.cluster == {actor: 1}
    records = one.step("a1", events.Tick(), NOW + USUAL.heartbeat_s).records
    assert [(r.table, r.key.split("/")[0], r.value is None) for r in records] == [
        ("meta", "parts", False),
        ("log", actor, True),
    ]
    assert [saved.clock for saved in saved_parts(one)] == [DotClock({actor: 1})]


def test_news_brings_what_other_shards_have() -> None:
    one = trio()
    one.step("a2", m.Gossip({}, {"far": 7}))
    one.step("a2", m.Gossip({}, {"far": 5, "near": 1}))
    assert one.replica.keyspace.watermarks.cluster == {"far": 7, "near": 1}


def test_gaps_of_an_ended_life_close_and_then_nothing_waits_for_it() -> None:
    one = arrived(trio("a2", "a3"))
    dead = actor_of(FIRST, "former")
    one.step("a2", m.Gossip({"a1": {"former": 1}}, {}))
    item = Item({(dead, 2): Version(b"v")}, Past({dead: 2}))
    one.replica.keyspace.take(PEAR, item, (), NOW)
    gap, closed = DotClock({}, {dead: {2}}), DotClock({dead: 2})
    for shard_peer in ("a2", "a3"):
        assert one.replica.keyspace.clock == gap
        compare(one, shard_peer, gap, ended=[dead])
    assert one.replica.keyspace.clock == closed
    for shard_peer in ("a2", "a3"):
        compare(one, shard_peer, closed, ended=[dead], closed=[dead])
    assert one.replica.keyspace.watermarks.cluster == {dead: COUNT_MAX}
    assert one.replica.keyspace.watermarks.lost == {dead: COUNT_MAX}


def test_an_asker_for_an_answer_gets_a_row_back() -> None:
    one = trio("a2")
    asking = row(DotClock(), node_id="id of a2", answer=True)
    assert told(one.step("a2", asking), m.Compare) == ["a2"]
    assert not told(compare(one, "a2", DotClock()), m.Compare)
    assert not told(one.step("x9", asking), m.Compare)


def test_heartbeats_go_to_all_peers_and_rows_to_shard_peers() -> None:
    one = arrived(One())
    effects = one.step("a1", events.Tick(), NOW + 1.5)
    heartbeats = [peer for peer, message in effects.asks if isinstance(message, m.Heartbeat)]
    assert heartbeats == ["a2", "b1", "b2"]
    assert told(effects, m.Compare) == ["a2"]
    assert effects.wake_at == NOW + 1.5 + USUAL.heartbeat_s
    assert not one.step("a1", events.Tick(), NOW + 1.6).asks


def test_a_new_incarnation_does_not_serve_the_snapshot_of_an_earlier_one() -> None:
    """It holds nothing of what that snapshot says, and would vouch for its absence."""
    one = trio("a2")
    for snapshot, pages in ((DotClock({"x": 4}), []), (None, ["a2"])):
        pull = m.Pull(1, "id of a2", SLOTS, DotClock(), snapshot)
        assert told(one.step("a2", pull), m.ItemPage) == pages


def test_an_exchange_ends_with_the_life_that_served_it() -> None:
    one = trio("a2")
    compare(one, "a2", DotClock({"x": 1}))
    assert one.replica.maintenance.repair.exchange is not None
    one.step("a3", m.Gossip({"a2": {"id of a2": 1, "another": 2}}, {}))
    assert one.replica.maintenance.repair.exchange is None


def test_a_late_row_changes_nothing() -> None:
    one = trio("a2")
    compare(one, "a2", DotClock({"x": 2}))
    assert not compare(one, "a2", DotClock({"x": 1})).asks
    assert one.replica.maintenance.repair.progress["a2"].clocks_of(ALL) == [DotClock({"x": 2})]
