"""How the nodes and slots of one view become those of the next: deterministic, moving little.

Group sizes are within one of each other, a node stays in its shard where it can, every shard has an
equal share of the slots, and the fewest slots move.  The node that proposes a view computes its
layout, and the view carries it.  ValueError says why there is none.  (protocol D10, "Placement".)
"""

import re
from collections.abc import Sequence

from node.core.model.keys import SLOTS, Slot
from node.core.model.view import Layout, Shard, View

SHARDS_MAX = 256  # a layout says the shard of a slot in a byte


def first_view(
    nodes: tuple[str, ...] | list[str], shard_count: int, unsharded: bool = False
) -> View:
    """The view that all nodes compute from the same VIEW, in any order, and the same SHARD_COUNT;
    `unsharded`: from VIEW alone, in the contract that has no shards.

    Raises ValueError when there are fewer nodes than shards, or an address comes twice.
    """
    if len(set(nodes)) != len(nodes):
        twice = sorted({node for node in nodes if nodes.count(node) > 1})
        raise ValueError(
            f"VIEW names {', '.join(twice)} more than once; every node has one address"
        )
    if not 1 <= shard_count <= len(nodes):
        raise ValueError(f"SHARD_COUNT={shard_count} needs between 1 and {len(nodes)} shards")
    nodes = sorted(nodes, key=_by_number)
    cuts = [len(nodes) * i // shard_count for i in range(shard_count + 1)]
    shards = tuple(
        Shard(f"s{i + 1}", tuple(nodes[cuts[i] : cuts[i + 1]])) for i in range(shard_count)
    )
    owner = spread(b"\0" * SLOTS, shard_count)
    return View(1, tuple(nodes), shards, owner, unsharded=unsharded)


def _by_number(node: str) -> list[tuple[bool, int, str]]:
    """The order of addresses in which 10.10.0.9 comes before 10.10.0.10."""
    parts = (part for part in re.split(r"(\d+)", node) if part)
    return [(p.isdecimal(), int(p), "") if p.isdecimal() else (False, 0, p) for p in parts]


def reshaped(now: Layout | View, nodes: Sequence[str], shard_count: int) -> Layout:
    """These nodes in this many shards."""
    _check(nodes, shard_count)
    old = {node: i for i, shard in enumerate(now.shards) for node in shard.members}
    staying: list[list[str]] = [
        [node for node in shard.members if node in nodes] for shard in now.shards[:shard_count]
    ]
    staying += [[] for _ in range(shard_count - len(staying))]
    sizes = _sizes([len(members) for members in staying], len(nodes))
    groups = [members[:size] for members, size in zip(staying, sizes, strict=True)]
    placed = {node for members in groups for node in members}
    homeless = sorted((n for n in nodes if n not in placed), key=lambda n: n not in old)
    for members, size in zip(groups, sizes, strict=True):
        while len(members) < size:
            members.append(homeless.pop(0))
    shards = tuple(Shard(f"s{i + 1}", tuple(members)) for i, members in enumerate(groups))
    return Layout(tuple(nodes), shards, _dealt(now, shard_count))


def with_node(now: Layout | View, address: str) -> Layout:
    """Add a node that is in no shard, so nothing moves.  In an unsharded view it joins the only
    shard, for there every node holds every key."""
    larger = Layout((*now.nodes, address), now.shards, now.owner)
    if isinstance(now, View) and now.unsharded:
        return with_member(larger, now.shards[0].id, address)
    return larger


def with_member(now: Layout | View, shard_id: str, address: str) -> Layout:
    """Make this node of the view a member of this shard, and of no other."""
    shards = tuple(
        Shard(shard.id, (*others, address) if shard.id == shard_id else others)
        for shard in now.shards
        for others in [tuple(m for m in shard.members if m != address)]
    )
    _refuse_empty(shards)
    return Layout(now.nodes, shards, now.owner)


def without(now: Layout | View, address: str) -> Layout:
    """Remove this node from the view; its shard goes on with its other members."""
    shards = tuple(
        Shard(shard.id, tuple(m for m in shard.members if m != address)) for shard in now.shards
    )
    _refuse_empty(shards)
    return Layout(tuple(n for n in now.nodes if n != address), shards, now.owner)


def moved_slots(now: Layout | View, then: Layout | View) -> list[Slot]:
    """The slots that change their shard."""
    before = [now.shards[i].id for i in now.owner]
    after = [then.shards[i].id for i in then.owner]
    return [slot for slot in range(SLOTS) if before[slot : slot + 1] != after[slot : slot + 1]]


def preferred(view: View, slot: Slot) -> tuple[str, ...]:
    """The nodes that are asked for a key of this slot, in order: its owners, then those of the
    slots that follow on the ring."""
    places = dict.fromkeys(view.owner[slot:] + view.owner[:slot])
    return tuple(dict.fromkeys(node for place in places for node in view.shards[place].members))


def _check(nodes: Sequence[str], shard_count: int) -> None:
    twice = sorted({node for node in nodes if list(nodes).count(node) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named more than once; every node has one address")
    if not 1 <= shard_count <= len(nodes):
        raise ValueError(f"{len(nodes)} nodes make between 1 and {len(nodes)} shards")


def _refuse_empty(shards: tuple[Shard, ...]) -> None:
    empty = [shard.id for shard in shards if not shard.members]
    if empty:
        raise ValueError(f"shard {', '.join(empty)} would have no member left")


def _sizes(staying: list[int], nodes: int) -> list[int]:
    """Sizes within one of each other; the larger ones for the shards that have most members."""
    least, larger = divmod(nodes, len(staying))
    fullest = sorted(range(len(staying)), key=lambda i: (-staying[i], i))[:larger]
    return [least + (i in fullest) for i in range(len(staying))]


def _dealt(now: Layout | View, shard_count: int) -> bytes:
    return spread(now.owner or bytes(SLOTS), shard_count)


def spread(owner: bytes, shard_count: int) -> bytes:
    """Equal shares of the slots for `shard_count` shards, moving the fewest.

    Takes and gives the shard of each slot.  Slots of shards that go, and the surplus of those that
    stay, are dealt to the shards that have too few, lowest slot first.
    Raises ValueError when these are more than SHARDS_MAX.
    """
    if shard_count > SHARDS_MAX:
        raise ValueError(f"{shard_count} shards; there may be {SHARDS_MAX} at most")
    share = [SLOTS // shard_count + (i < SLOTS % shard_count) for i in range(shard_count)]
    dealt = bytearray(owner)
    homeless: list[Slot] = []
    for slot, shard in enumerate(owner):
        if shard < shard_count and share[shard]:
            share[shard] -= 1
        else:
            homeless.append(slot)
    takers = (shard for shard, wanted in enumerate(share) for _ in range(wanted))
    for slot, shard in zip(homeless, takers, strict=True):
        dealt[slot] = shard
    return bytes(dealt)
