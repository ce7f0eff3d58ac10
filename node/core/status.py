"""What a replica says of itself: for /readyz, /v1/status, metrics, and the live view.

Read-only: nothing here changes a replica.  The shape of `status` is an interface: later versions
add fields and rename none.
"""

from typing import Any

from node.core.model.actors import Actor
from node.core.model.dots import DotClock
from node.core.model.keys import SLOTS
from node.core.model.view import NO_VIEW, View
from node.core.protocol import messages as m
from node.core.replica import Replica
from node.core.storage.keyspace import Keyspace


def alive(replica: Replica, now: float) -> tuple[str, ...]:
    """The view's nodes that have been heard of lately, in the view's order."""
    return tuple(node for node in replica.view.nodes if replica.detector.alive(node, now))


def checks(replica: Replica) -> tuple[tuple[str, str], ...]:
    """The checks of /readyz: (name, what is wrong or "").  A node that is cut off is ready: it
    takes writes."""
    unknown = "this node knows no view yet: it waits to be told one, or to be added to one"
    arriving = (
        "this node does not yet hold all that belongs to its slots; it takes writes, and reads "
        "through the others"
    )
    unheard_of = (
        "this node's disk is new and no other node of its view has heard of it: until then it "
        "names no writes"
    )
    comparing = "this node has started and not yet compared what it holds with a shard peer"
    is_first_start = replica.maintenance.arrived or replica.views.previous is not None
    outside = (
        f"that view does not name {replica.address}: add it to the view, or start the node on "
        "another DATA_DIR"
    )
    began = replica.maintenance.identity.reason
    is_outside = replica.view.number and replica.address not in replica.view.nodes
    if began:
        arriving = f"{arriving}; it has begun a new incarnation: {began}"
    may_name = replica.views.may_name() or replica.view.shard_with(replica.address) is None
    return (
        ("view", "" if replica.view.number else unknown),
        ("address", f"{began}; {outside}" if began and is_outside else ""),
        ("known", "" if may_name else unheard_of),
        ("arrived", "" if is_first_start else arriving),
        ("caught up", "" if replica.maintenance.bootstrap.caught_up else comparing),
    )


def status(replica: Replica, now: float) -> dict[str, Any]:
    """Everything at a glance: view, clocks, peers, lags, waiting requests, what is stored."""
    keyspace, maintenance = replica.keyspace, replica.maintenance
    shard = replica.view.shard_with(replica.address)
    return {
        "address": replica.address,
        "node_id": replica.node_id,
        "actor": keyspace.actor,
        "began_anew": maintenance.identity.reason or None,
        "shard": shard.id if shard else None,
        "arrived": maintenance.arrived,
        "settled": maintenance.settled,
        "lacking_slots": keyspace.parts.lacking().bit_count(),
        "leaving_slots": sum(part.slots.bit_count() for part in keyspace.parts.outgoing()),
        "waited_for": replica.views.waited_for() if not maintenance.settled else [],
        "view": {
            "id": str(replica.view.id),
            "fingerprint": replica.view.fingerprint,
            "number": replica.view.number,
            "nodes": list(replica.view.nodes),
            "addresses": list(replica.view.addresses),
            "shards": {shard.id: list(shard.members) for shard in replica.view.shards},
        },
        "lives": maintenance.incarnations.table,
        "clock": _clock(keyspace, keyspace.clock),
        "stable": keyspace.runs.pack(keyspace.watermarks.cluster),
        "peers": {peer: _peer(replica, peer, now) for peer in maintenance.gossip.peers},
        "waiting": replica.waiting(),
        "store": {
            "keys": keyspace.live_keys,
            "hash": content(replica),
            "log": keyspace.log.entries,
            "open_items": len(keyspace.open_keys.unsettled),
            "scrub": scrub(replica, now),
        },
        "hints": hints(replica, now),
        "repair": {
            "pulling_from": maintenance.repair.exchange and maintenance.repair.exchange.holder,
            "pulled_items": maintenance.repair.pulled_items,
        },
    }


def movement(replica: Replica, now: float) -> dict[str, Any]:
    """How far a view change has come, as this node knows it.  For each node: what it lacks of its
    slots, what it still holds for others, and whether it has left its past to them."""
    views, maintenance = replica.views, replica.maintenance
    view, waited = views.view, set(views.waited_for())
    nodes = {}
    for node in views.history.nodes():
        heartbeat, epoch = maintenance.gossip.heartbeats.get(
            node, (m.Heartbeat(""), m.Epoch(NO_VIEW))
        )
        if node == replica.address:
            heartbeat, epoch = maintenance.gossip.heartbeat(), views.epoch
        nodes[node] = {
            "in_view": epoch.view == view.id,
            "alive": replica.detector.alive(node, now),
            "lacking": heartbeat.lacking,
            "leaving": heartbeat.leaving,
            "done": views.history.settled or node not in waited,
        }
    return {
        "view": _shape(view),
        "previous": views.previous and _shape(views.previous),
        "settled": views.history.settled,
        "lacking_slots": sum(node["lacking"] for node in nodes.values()),
        "leaving_slots": sum(node["leaving"] for node in nodes.values()),
        "moved_items": maintenance.repair.pulled_items,
        "started": views.adopted_at,
        "nodes": nodes,
        "history": list(views.past),
    }


def node_of(replica: Replica, actor: Actor) -> str:
    """The address at which this actor writes or wrote; empty if it is not known here."""
    return replica.views.incarnations.address_of(actor) or ""


def slot_loads(replica: Replica) -> dict[int, tuple[int, int]]:
    """The live keys of each slot held here, and their bytes."""
    return replica.keyspace.slot_counts.by_slot()


def content(replica: Replica) -> str | None:
    """The hash of what this node holds of its own slots.  Two replicas of a shard have the same
    hash exactly when they hold the same versions.  None while the rows of the last run are being
    counted."""
    return replica.keyspace.content_hashes.content


def scrub(replica: Replica, now: float) -> dict[str, Any]:
    """How far the pass over all rows is; the rows found damaged, missing or old since the start;
    and the repaired ones.  `differs_from` has the shard peers with the same clock and another
    content hash."""
    maintenance = replica.maintenance
    pass_, row_repair = maintenance.scrub, maintenance.row_repair
    finished = pass_.finished_at
    return {
        "position": round(pass_.slot / SLOTS, 3),
        "passes": pass_.passes,
        "finished_s_ago": round(now - finished, 3) if finished is not None else None,
        "found": row_repair.found,
        "repaired": row_repair.repaired,
        "suspect": len(row_repair.suspects),
        "differs_from": sorted(maintenance.content_compare.unequal),
    }


def hints(replica: Replica, now: float) -> dict[str, Any]:
    """The writes that this node keeps for owners of other shards, by owner, and how many it did not
    keep since the start, because there were too many for their owner."""
    kept = replica.keyspace.hints
    oldest = kept.oldest_ms()
    return {
        "kept": len(kept),
        "bytes": sum(kept.bytes.values()),
        "oldest_s_ago": None if oldest is None else round(max(0.0, now - oldest / 1000), 3),
        "for": dict(kept.numbers),
        "no_room": kept.turned_away,
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


def _clock(keyspace: Keyspace, clock: DotClock) -> dict[str, Any]:
    """A clock in which heads of chains stand for the past runs that are complete."""
    base = keyspace.runs.pack(clock.base, clock.loose)
    return {"base": base, "loose": {a: len(numbers) for a, numbers in clock.loose.items()}}


def _peer(replica: Replica, peer: str, now: float) -> dict[str, Any]:
    """What is known of one peer; `lag` counts the dots that only one of the two has, by the peer's
    last comparison."""
    detector, heard = replica.detector, replica.detector.heard(peer)
    row = replica.maintenance.repair.progress.get(peer)
    return {
        "reachable": detector.reachable(peer, now),
        "alive": detector.alive(peer, now),
        "heard_s_ago": round(now - heard, 3) if heard > 0 else None,
        "lag": _distance(replica.keyspace.clock, row.groups[0].clock)
        if row and row.groups
        else None,
    }


def _distance(mine: DotClock, theirs: DotClock) -> dict[str, int]:
    return {"we_lack": _excess(theirs, mine), "they_lack": _excess(mine, theirs)}


def _excess(one: DotClock, other: DotClock) -> int:
    """About how many dots of `one` the other lacks; exact if neither has gaps."""
    bases = sum(max(0, n - other.base.get(a, 0)) for a, n in one.base.items())
    return bases + sum(len(numbers) for numbers in one.loose.values())
