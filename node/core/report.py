"""What a replica says of itself: for /readyz, /v1/status, metrics, and the live view.

Read-only: nothing here changes a replica.  The shape of `status` is an interface; fields are added,
never renamed.
"""

from typing import Any

from node.core.clock import Clock
from node.core.replica import Replica


def alive(replica: Replica, now: float) -> tuple[str, ...]:
    """The view's nodes that have been heard of lately, in the view's order."""
    return tuple(node for node in replica.view.nodes if replica.detector.alive(node, now))


def checks(replica: Replica) -> tuple[tuple[str, str], ...]:
    """(name, "" or what is wrong); a node that is cut off is ready: it takes writes."""
    arriving = (
        "this node began with an empty disk and has not yet heard from enough of its fellows "
        "to know that it holds everything; it takes writes, and reads through the others"
    )
    comparing = "this node has started and not yet compared what it holds with a fellow"
    recovery = replica.upkeep.recovery
    return (
        ("view", ""),
        ("arrived", "" if recovery.arrived else arriving),
        ("caught up", "" if recovery.caught_up else comparing),
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
        "view": {
            "id": replica.view.id,
            "number": replica.view.number,
            "nodes": list(replica.view.nodes),
            "shards": {shard.id: list(shard.members) for shard in replica.view.shards},
        },
        "lives": upkeep.lives.table,
        "clock": _clock(keyspace.clock),
        "stable": keyspace.stable,
        "peers": {peer: _peer(replica, peer, now) for peer in upkeep.peers},
        "waiting": replica.waiting(),
        "store": {
            "keys": keyspace.live_keys,
            "log": keyspace.log.entries,
            "open_items": len(keyspace.open_keys),
        },
        "repair": {
            "pulling_from": upkeep.repair.exchange and upkeep.repair.exchange.fellow,
            "pulled_items": upkeep.repair.pulled_items,
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
        "lag": row and _distance(replica.keyspace.clock, row.clock),
    }


def _distance(mine: Clock, theirs: Clock) -> dict[str, int]:
    return {"we_lack": _excess(theirs, mine), "they_lack": _excess(mine, theirs)}


def _excess(one: Clock, other: Clock) -> int:
    """About how many dots of `one` the other lacks: exact where neither has gaps."""
    bases = sum(max(0, n - other.base.get(a, 0)) for a, n in one.base.items())
    return bases + sum(len(numbers) for numbers in one.loose.values())
