"""What a client of data_view orders: the whole view, with its nodes by their ids, where they are,
and the shards that they form, by names of the client's.

Whoever is given the same order makes the same layout of the same view.  A node is called by its id,
which stays; where it is, is said anew by every order.  Pure arithmetic on views.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.core.view import SLOTS, Layout, Shard, View, address_in, spread
from node.dialects.contract import Reply
from node.dialects.words import address_of, refused

NODES_MAX = 1024
SHARDS_MAX = 255  # a slot's shard is a byte, and one of them is nobody's
NOBODY = 255
SHARD_CHARACTERS_MAX = 200
ONLY_SHARD = "Shard1"  # of a view that is a list of nodes
TURNS_MAX = 5
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Nodes = dict[str, str]  # where each node is, by its name


def name_of(identifier: str) -> str:
    """What the nodes of a view call the one with this id."""
    return f"node-{identifier}"


@dataclass(frozen=True, slots=True)
class Order:
    """Which nodes, where they are, in which shards; without any, no view at all."""

    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    shards: tuple[Shard, ...]

    def is_shown_by(self, view: View) -> bool:
        """Whether the view is as ordered, in whatever sequence it names nodes and shards."""
        return _shape(view.nodes, view.addresses, view.shards) == _shape(
            self.nodes, self.addresses, self.shards
        )

    def layout(self, view: View) -> Layout:
        """This order, made from a view: the view's own layout where that is as ordered."""
        if self.is_shown_by(view):
            return view.layout
        return Layout(self.nodes, self.shards, _dealt(view, self.shards), self.addresses)

    def turn_of(self, node: str, view: View) -> int:
        """How many others go first in proposing it, by a rule that is the same at all nodes: who is
        in the view may propose, the others only ask; who is not to stay goes last."""
        if node not in self.nodes:
            return TURNS_MAX

        def place(one: str) -> tuple[bool, int, str]:
            return one not in view.nodes, len(one), one

        return min(TURNS_MAX, sum(place(other) < place(node) for other in self.nodes))


def _shape(
    nodes: tuple[str, ...], addresses: tuple[str, ...], shards: tuple[Shard, ...]
) -> tuple[dict[str, str], dict[str, set[str]]]:
    places = dict(zip(nodes, addresses, strict=True)) if addresses else {}
    return places, {shard.id: set(shard.members) for shard in shards}


def without_address(node: str, view: View) -> Layout:
    """The same view, in which this node is nowhere: it goes on for the others, not for clients."""
    if not address_in(view, node):
        return view.layout
    addresses = tuple("" if one == node else address_in(view, one) for one in view.nodes)
    return Layout(view.nodes, view.shards, view.owner, addresses)


# ------------------------------------------------------------------ reading an order


def order_of(fields: Mapping[str, Any]) -> Order | Reply:
    """The order in a request's fields; 400 says what is wrong with it."""
    view = fields.get("view")
    groups = {ONLY_SHARD: view} if type(view) is list else view
    if type(groups) is not dict or len(groups) > SHARDS_MAX:
        return refused(400, f"view is not a list of nodes, or an object of 0 to {SHARDS_MAX} lists")
    if not any(groups.values()) and all(type(members) is list for members in groups.values()):
        return Order((), (), ())
    nodes: Nodes = {}
    shards = []
    for name, members in groups.items():
        found = _members_of(name, members, nodes)
        if isinstance(found, Reply):
            return found
        nodes.update(found)
        shards.append(Shard(name, tuple(found)))
    if len(nodes) > NODES_MAX:
        return refused(400, f"view names {len(nodes)} nodes; the limit is {NODES_MAX}")
    return Order(tuple(nodes), tuple(nodes.values()), tuple(shards))


def _members_of(name: str, members: object, known: Nodes) -> Nodes | Reply:
    """The nodes of one shard; `known` are those of the shards before it."""
    if not 1 <= len(name) <= SHARD_CHARACTERS_MAX:
        return refused(400, f"a shard's name has {len(name)} characters; expected 1 to 200")
    if type(members) is not list or not members:
        return refused(400, f"shard {name} is not a list of one or more nodes")
    found: Nodes = {}
    for member in members:
        node = _node_of(name, member)
        if isinstance(node, Reply):
            return node
        before = {**known, **found}
        if node[0] in before or node[1] in before.values():
            words = f"{node[0]} at {node[1]}: every id and every address stands in a view once"
            return refused(400, f"shard {name}: {words}")
        found[node[0]] = node[1]
    return found


def _node_of(shard: str, member: object) -> tuple[str, str] | Reply:
    """The name and the address of a node."""
    if type(member) is not dict:
        return refused(400, f'shard {shard}: a node is {{"address":"ip:port","id":0}}')
    identifier = member.get("id")
    if type(identifier) not in (int, str) or not ID.fullmatch(str(identifier)):
        words = "id is missing, or not a number or a name of at most 64 letters and digits"
        return refused(400, f"shard {shard}: {words}")
    address = address_of(member, "address")
    if isinstance(address, Reply):
        return address
    return name_of(str(identifier)), address


# ------------------------------------------------------------------ making a layout


def _dealt(view: View, shards: tuple[Shard, ...]) -> bytes:
    """The shard of each slot: equal shares, and as few slots as can be leave their shard."""
    if not view.owner:
        return spread(bytes(SLOTS), len(shards))
    heirs = _heirs(view.shards, shards)
    return spread(bytes(heirs.get(old, NOBODY) for old in view.owner), len(shards))


def _heirs(before: tuple[Shard, ...], after: tuple[Shard, ...]) -> dict[int, int]:
    """Which shard goes on with the slots of which: the one of its name, or else a new one that has
    most of its nodes."""
    names = {shard.id: place for place, shard in enumerate(after)}
    heirs = {old: names[shard.id] for old, shard in enumerate(before) if shard.id in names}
    fresh = [place for place in range(len(after)) if place not in heirs.values()]
    for old, shard in enumerate(before):
        common = {place: len({*shard.members} & {*after[place].members}) for place in fresh}
        best = max(fresh, key=lambda place: common[place], default=None)  # the first of the best
        if old not in heirs and best is not None and common[best]:
            heirs[old] = best
            fresh.remove(best)
    return heirs
