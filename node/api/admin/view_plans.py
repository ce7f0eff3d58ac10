"""What a view change would do: the request, the new layout, what moves, and what is lost.

Pure arithmetic on views.  This node counts keys and bytes of the slots that it holds, and estimates
the others by its own density, since keys spread evenly over slots.  Slots and nodes are exact.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from node.addresses import canonical
from node.api.contract import Facts, Refused
from node.api.parsing import bad_request, is_whole, said
from node.core.model.keys import SLOTS, Slot
from node.core.model.placement import SHARDS_MAX, moved_slots, reshaped
from node.core.model.view import Layout, View, ViewId

NODES_MAX = 1024

About = Callable[[Iterable[Slot]], dict[str, int | None]]  # the keys and bytes of some slots


class ChangeRequest(msgspec.Struct, frozen=True):
    """What a client wants: these nodes in so many shards.

    It declares the disks of `lost` given up.
    """

    nodes: tuple[str, ...]
    shards: int
    lost: tuple[str, ...]
    force: bool


class Plan(msgspec.Struct, frozen=True):
    """A layout that a client may commit while `base` is the current view.

    `copies` is the number of pairs of slot and node that the change makes.
    """

    id: str
    base: ViewId
    layout: Layout
    lost: tuple[str, ...]
    force: bool
    copies: int
    document: dict[str, Any]


# ------------------------------------------------------------------ what is asked for


def change_request_of(fields: Mapping[str, Any], view: View, known: Iterable[str]) -> ChangeRequest:
    """Read the change request in these fields; what they leave open stays as it is.

    `known` are the nodes of all views that are not retired; the client may declare any of these
    lost.  Raises `Refused`.
    """
    unknown = sorted(set(fields) - {"shards", "nodes", "add", "remove", "lost", "force"})
    if unknown:
        raise bad_request(
            f"{', '.join(unknown)}: expected shards, nodes, add, remove, lost or force"
        )
    now = view.nodes if view.number else ()
    shards = fields.get("shards", len(view.shards) or 1)
    if not is_whole(shards) or not 1 <= shards <= SHARDS_MAX:
        raise bad_request(f"shards is {shards!r}; expected a number from 1 to {SHARDS_MAX}")
    force = fields.get("force", False)
    if type(force) is not bool:
        raise bad_request(f"force is {force!r}; expected true or false")
    lost = _names(fields, "lost", known)
    _expect_known("lost", lost, known)
    return ChangeRequest(_nodes_of(fields, now, lost), int(shards), lost, force)


def _nodes_of(
    fields: Mapping[str, Any], now: tuple[str, ...], lost: tuple[str, ...]
) -> tuple[str, ...]:
    if "nodes" in fields:
        if "add" in fields or "remove" in fields:
            raise bad_request("nodes names all of them; it does not go with add or remove")
        return _names(fields, "nodes", now)
    add, remove = _names(fields, "add", now), _names(fields, "remove", now)
    _expect_known("remove", remove, now)
    there = [node for node in add if node in now]
    if there:
        raise bad_request(f"add: {', '.join(there)} is in the view already")
    return tuple(node for node in (*now, *add) if node not in remove and node not in lost)


def _names(fields: Mapping[str, Any], name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the addresses of nodes that a client named by address or by short name."""
    found = fields.get(name, [])
    if type(found) is not list or len(found) > NODES_MAX:
        raise bad_request(f"{name} is not a list of at most {NODES_MAX} addresses")
    names = [_name_of_node(name, each, known) for each in found]
    twice = sorted(each for each, times in Counter(names).items() if times > 1)
    if twice:
        raise bad_request(f"{name} has {', '.join(twice)} more than once")
    return tuple(names)


def _name_of_node(name: str, wanted: object, known: Iterable[str]) -> str:
    if not isinstance(wanted, str):
        raise bad_request(f"{name}: {wanted!r} is not an address")
    if wanted in known:
        return wanted
    try:
        return canonical(wanted)
    except ValueError as error:
        raise bad_request(f"{name} is not an address: {error}; found {wanted!r}") from error


def _expect_known(name: str, nodes: tuple[str, ...], known: Iterable[str]) -> None:
    strangers = [node for node in nodes if node not in known]
    if strangers:
        raise bad_request(f"{name}: {', '.join(strangers)} is not in the view")


# ------------------------------------------------------------------ the plan


def plan_of(facts: Facts, wanted: ChangeRequest) -> Plan:
    """Return what to propose for this request, and what it would do.

    Raises `Refused` when the request cannot be met, or when it would lose data and is not forced.
    """
    view = facts.view
    try:
        layout = reshaped(view, wanted.nodes, wanted.shards)
    except ValueError as error:
        raise bad_request(str(error)) from error
    about = loads_about(facts)
    lost = _losses(view, layout, wanted.lost, about)
    if lost and not wanted.force:
        raise _lossy(lost)
    moved = moved_slots(view, layout) if view.owner else []
    copies = _copies(view, layout)
    name = _name_of(view.id, layout, wanted)
    document = {
        "plan": name,
        "base": str(view.id),
        "before": shape_of(view),
        "after": shape_of(layout),
        "moves": {
            "slots": len(moved),
            "ideal_slots": _ideal(view, len(layout.shards)),
            "copied_slots": copies,
            **about(moved),
            "nodes": _movers(view, layout),
        },
        "lost": lost,
        "warnings": list(_warnings(facts, layout, wanted.lost, lost)),
    }
    return Plan(name, view.id, layout, wanted.lost, wanted.force, copies, document)


def _lossy(lost: Mapping[str, Any]) -> Refused:
    """Return the refusal of a change that would lose some slots; "force" allows it."""
    words = (
        f"every holder of shard {', '.join(lost)} would be dropped or given up, and its keys with "
        "them if they do not stay up until they have handed over; "
        '"force": true does it all the same'
    )
    return Refused(said(409, {"error": words, "lost": lost}))


def _name_of(base: ViewId, layout: Layout, wanted: ChangeRequest) -> str:
    """Name a plan by its content, so that the same plan has the same name."""
    digest = blake2b(
        msgspec.msgpack.encode((base, layout, wanted.lost, wanted.force)), digest_size=4
    )
    return f"p-{digest.hexdigest()}"


def shape_of(layout: Layout | View) -> dict[str, Any]:
    """List the nodes, members and number of slots of each shard."""
    slots = Counter(layout.owner)
    return {
        "nodes": list(layout.nodes) if layout.shards else [],
        "shards": {shard.id: list(shard.members) for shard in layout.shards},
        "slots": {shard.id: slots[place] for place, shard in enumerate(layout.shards)},
    }


def loads_about(facts: Facts) -> About:
    """Return a function that says how many keys and bytes some slots hold.

    This node counts its own slots and estimates the others by its density.  A node that owns
    nothing cannot estimate: None.
    """
    held, mine = facts.slot_loads(), facts.view.slots_of(facts.address)
    owned = [slot for slot in range(SLOTS) if mine >> slot & 1]
    sums = [sum(held[slot][i] for slot in owned if slot in held) for i in (0, 1)]
    density = tuple(total / max(1, len(owned)) for total in sums)

    def about(slots: Iterable[Slot]) -> dict[str, int | None]:
        loads = [held.get(slot, (0, 0)) if mine >> slot & 1 else density for slot in slots]
        keys, size = (round(sum(load[i] for load in loads)) if owned else None for i in (0, 1))
        return {"keys": keys, "bytes": size}

    return about


def _losses(
    view: View,
    layout: Layout,
    lost: tuple[str, ...],
    about: About,
) -> dict[str, Any]:
    """List the shards that keep no member, or no member with its disk: members, slots and loads."""
    losses = {}
    for place, shard in enumerate(view.shards):
        slots = [slot for slot in range(SLOTS) if view.owner[slot] == place]
        staying = [m for m in shard.members if m in layout.nodes and m not in lost]
        if slots and not staying:
            losses[shard.id] = {
                "members": list(shard.members),
                "slots": len(slots),
                **about(slots),
            }
    return losses


def _ideal(view: View, shards: int) -> int:
    """Return the fewest slots that must move to reach even shares in this number of shards."""
    if not view.owner:
        return 0
    share, larger = divmod(SLOTS, shards)
    held = sorted(Counter(view.owner).values(), reverse=True)[:shards]
    kept = sum(min(count, share) for count in held)
    return SLOTS - kept - min(larger, sum(count > share for count in held))


def _copies(view: View, layout: Layout) -> int:
    """Count the new pairs of slot and node: what nodes have to copy."""
    if not view.owner:
        return 0
    before = [set(shard.members) for shard in view.shards]
    after = [set(shard.members) for shard in layout.shards]
    pairs = Counter(zip(view.owner, layout.owner, strict=True))
    return sum(slots * len(after[new] - before[old]) for (old, new), slots in pairs.items())


def _movers(view: View, layout: Layout) -> list[dict[str, str | None]]:
    """List the nodes that come, go or change their shard."""
    before = {node: shard.id for shard in view.shards for node in shard.members}
    after = {node: shard.id for shard in layout.shards for node in shard.members}
    nodes = dict.fromkeys((*before, *after))
    return [
        {"node": node, "from": before.get(node), "to": after.get(node)}
        for node in nodes
        if before.get(node) != after.get(node)
    ]


def _warnings(
    facts: Facts, layout: Layout, gone: tuple[str, ...], lost: Mapping[str, Any]
) -> Iterable[str]:
    view = facts.view
    if gone:
        yield f"what only the disk of {', '.join(gone)} has is given up"
    lone = [shard.id for shard in layout.shards if len(shard.members) == 1]
    if lone:
        yield f"shard {', '.join(lone)} would have one member: its data has no second copy"
    for shard in view.shards:
        if shard.id in lost:
            yield f"no member of shard {shard.id} stays: what they do not hand over is lost"
        elif not any(member in facts.alive() for member in shard.members):
            yield f"no member of shard {shard.id} is up now: its keys move when one comes back"
    dead = [node for node in layout.nodes if node in view.nodes and node not in facts.alive()]
    if dead:
        yield f"{', '.join(dead)} does not answer now: its slots arrive there when it comes back"
    if layout == view.layout and not gone:
        yield "nothing would change"
