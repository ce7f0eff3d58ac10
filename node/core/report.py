"""What a replica says of itself: for /readyz, /v1/status, metrics, and the live view.

Read-only: nothing here changes a replica.  The shape of `status` is an interface; fields are added,
never renamed.
"""

from typing import Any

from node.core import messages as m
from node.core.clock import Clock
from node.core.replica import Replica
from node.core.view import NO_VIEW, SLOTS, View


def alive(replica: Replica, now: float) -> tuple[str, ...]:
    """The view's nodes that have been heard of lately, in the view's order."""
    return tuple(node for node in replica.view.nodes if replica.detector.alive(node, now))


def checks(replica: Replica) -> tuple[tuple[str, str], ...]:
    """(name, "" or what is wrong); a node that is cut off is ready: it takes writes."""
    unknown = "this node knows no view yet: it waits to be told one, or to be added to one"
    arriving = (
        "this node does not yet hold all that belongs to its slots; it takes writes, and reads "
        "through the others"
    )
    unheard_of = (
        "this node's disk is new and no other node of its view has heard of it: until then it "
        "names no writes"
    )
    comparing = "this node has started and not yet compared what it holds with a fellow"
    is_first_start = replica.upkeep.arrived or replica.moving.previous is not None
    may_name = replica.moving.may_name() or replica.view.shard_with(replica.address) is None
    return (
        ("view", "" if replica.view.number else unknown),
        ("known", "" if may_name else unheard_of),
        ("arrived", "" if is_first_start else arriving),
        ("caught up", "" if replica.upkeep.recovery.caught_up else comparing),
    )


def status(replica: Replica, now: float) -> dict[str, Any]:
    """Everything at a glance: view, clocks, peers, lags, what waits, what is stored."""
    keyspace, upkeep = replica.keyspace, replica.upkeep
    shard = replica.view.shard_with(replica.address)
    return {
        "address": replica.address,
        "node_id": replica.node_id,
        "actor": keyspace.actor,
        "shard": shard.id if shard else None,
        "arrived": upkeep.arrived,
        "settled": upkeep.settled,
        "lacking_slots": keyspace.parts.lacking().bit_count(),
        "leaving_slots": sum(part.slots.bit_count() for part in keyspace.parts.held()),
        "waited_for": replica.moving.waited_for() if not upkeep.settled else [],
        "view": {
            "id": str(replica.view.id),
            "fingerprint": replica.view.fingerprint,
            "number": replica.view.number,
            "nodes": list(replica.view.nodes),
            "addresses": list(replica.view.addresses),
            "shards": {shard.id: list(shard.members) for shard in replica.view.shards},
        },
        "lives": upkeep.lives.table,
        "clock": _clock(keyspace.clock),
        "stable": keyspace.stable,
        "peers": {peer: _peer(replica, peer, now) for peer in upkeep.gossip.peers},
        "waiting": replica.waiting(),
        "store": {
            "keys": keyspace.live_keys,
            "hash": content(replica),
            "log": keyspace.log.entries,
            "open_items": len(keyspace.open_keys),
            "scrub": scrub(replica, now),
        },
        "repair": {
            "pulling_from": upkeep.repair.exchange and upkeep.repair.exchange.holder,
            "pulled_items": upkeep.repair.pulled_items,
        },
    }


def movement(replica: Replica, now: float) -> dict[str, Any]:
    """How far a view change has come, as this node knows it: what each node lacks of its slots,
    what it still holds for others, and whether it has left its past to them."""
    moving, upkeep = replica.moving, replica.upkeep
    view, waited = moving.view, set(moving.waited_for())
    nodes = {}
    for node in moving.history.nodes():
        beat, stamp = upkeep.gossip.beats.get(node, (m.Beat(""), m.Stamp(NO_VIEW)))
        if node == replica.address:
            beat, stamp = upkeep.gossip.beat(), moving.stamp
        nodes[node] = {
            "in_view": stamp.view == view.id,
            "alive": replica.detector.alive(node, now),
            "lacking": beat.lacking,
            "leaving": beat.leaving,
            "done": moving.history.settled or node not in waited,
        }
    return {
        "view": _shape(view),
        "previous": moving.previous and _shape(moving.previous),
        "settled": moving.history.settled,
        "lacking_slots": sum(node["lacking"] for node in nodes.values()),
        "leaving_slots": sum(node["leaving"] for node in nodes.values()),
        "moved_items": upkeep.repair.pulled_items,
        "started": moving.adopted_at,
        "nodes": nodes,
        "history": list(moving.past),
    }


def slot_loads(replica: Replica) -> dict[int, tuple[int, int]]:
    """The live keys of each slot held here, and their bytes."""
    return replica.keyspace.tally.by_slot()


def content(replica: Replica) -> str | None:
    """The hash of what this node holds of its own slots, equal at two replicas of a shard exactly
    when they hold the same versions; None while the rows of the last run are being counted."""
    return replica.keyspace.digests.content


def scrub(replica: Replica, now: float) -> dict[str, Any]:
    """How far the pass over all rows is, what has been found damaged, missing or old since the
    start, and what of it is whole again; `differs_from` are fellows with another content hash
    beside the same clock."""
    upkeep = replica.upkeep
    pass_, healing = upkeep.scrub, upkeep.healing
    finished = pass_.finished_at
    return {
        "position": round(pass_.slot / SLOTS, 3),
        "passes": pass_.passes,
        "finished_s_ago": round(now - finished, 3) if finished is not None else None,
        "found": healing.found,
        "repaired": healing.repaired,
        "suspect": len(healing.suspects),
        "differs_from": sorted(upkeep.weighing.unequal),
    }


def _shape(view: View) -> dict[str, Any]:
    return {
        "id": str(view.id),
        "number": view.number,
        "nodes": list(view.nodes),
        "shards": {shard.id: list(shard.members) for shard in view.shards},
        "slots": {
            shard.id: view.slots_of_shard(i).bit_count() for i, shard in enumerate(view.shards)
        },
    }


def _clock(clock: Clock) -> dict[str, Any]:
    return {"base": clock.base, "loose": {a: len(numbers) for a, numbers in clock.loose.items()}}


def _peer(replica: Replica, peer: str, now: float) -> dict[str, Any]:
    """What is known of one peer; `lag` counts the dots that only one of us has, by its last row."""
    detector, heard = replica.detector, replica.detector.heard(peer)
    row = replica.upkeep.repair.rows.get(peer)
    return {
        "reachable": detector.reachable(peer, now),
        "alive": detector.alive(peer, now),
        "heard_s_ago": round(now - heard, 3) if heard > 0 else None,
        "lag": _distance(replica.keyspace.clock, row.held[0].clock) if row and row.held else None,
    }


def _distance(mine: Clock, theirs: Clock) -> dict[str, int]:
    return {"we_lack": _excess(theirs, mine), "they_lack": _excess(mine, theirs)}


def _excess(one: Clock, other: Clock) -> int:
    """About how many dots of `one` the other lacks: exact where neither has gaps."""
    bases = sum(max(0, n - other.base.get(a, 0)) for a, n in one.base.items())
    return bases + sum(len(numbers) for numbers in one.loose.values())
