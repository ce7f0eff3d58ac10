"""What a client of data_view orders: all nodes by their ids, their addresses, and their shards.

Every node that gets the same order makes the same layout of the same view.  A node's id stays, and
every order says its address anew.  Pure arithmetic on views.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from node.api.dialects.data_view.names import name_of
from node.api.parsing import address_of, bad_request
from node.core.model.keys import SLOTS
from node.core.model.placement import spread
from node.core.model.view import Layout, Shard, View, address_in

NODES_MAX = 1024
SHARDS_MAX = 255  # a slot's shard is one byte, and 255 stands for no shard
NOBODY = 255
SHARD_CHARACTERS_MAX = 200
ONLY_SHARD = "Shard1"  # the shard of a view that is a list of nodes
TURNS_MAX = 5
ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

Nodes = dict[str, str]  # the address of each node, by its name


class ViewOrder(msgspec.Struct, frozen=True):
    """Nodes, their addresses, and their shards; an order without nodes asks for no view."""

    nodes: tuple[str, ...]
    addresses: tuple[str, ...]
    shards: tuple[Shard, ...]

    def is_shown_by(self, view: View) -> bool:
        """Whether the view is as ordered, in whatever sequence it names nodes and shards."""
        return _shape(view.nodes, view.addresses, view.shards) == _shape(
            self.nodes, self.addresses, self.shards
        )

    def layout(self, view: View) -> Layout:
        """Return the layout that this order makes of a view; the view's own if it is as ordered."""
        if self.is_shown_by(view):
            return view.layout
        return Layout(self.nodes, self.shards, _dealt(view, self.shards), self.addresses)

    def turn_of(self, node: str, view: View) -> int:
        """Return how many nodes propose this order before the given one.

        The rule is the same at all nodes.  A node of the view may propose at once, so it goes
        before nodes that can only ask others.  A node that the order leaves out goes last.
        """
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
    """Return the view's layout without this node's address: clients no longer reach it there."""
    if not address_in(view, node):
        return view.layout
    addresses = tuple("" if one == node else address_in(view, one) for one in view.nodes)
    return Layout(view.nodes, view.shards, view.owner, addresses)


# ------------------------------------------------------------------ reading an order


def order_of(fields: Mapping[str, Any]) -> ViewOrder:
    """Read the order in a request's fields; raise 400 with what is wrong in it."""
    view = fields.get("view")
    groups = {ONLY_SHARD: view} if type(view) is list else view
    if type(groups) is not dict or len(groups) > SHARDS_MAX:
        raise bad_request(f"view is not a list of nodes, or an object of 0 to {SHARDS_MAX} lists")
    if not any(groups.values()) and all(type(members) is list for members in groups.values()):
        return ViewOrder((), (), ())
    nodes: Nodes = {}
    shards = []
    for name, members in groups.items():
        found = _members_of(name, members, nodes)
        nodes.update(found)
        shards.append(Shard(name, tuple(found)))
    if len(nodes) > NODES_MAX:
        raise bad_request(f"view names {len(nodes)} nodes; the limit is {NODES_MAX}")
    return ViewOrder(tuple(nodes), tuple(nodes.values()), tuple(shards))


def _members_of(name: str, members: object, known: Nodes) -> Nodes:
    """Read the nodes of one shard; `known` are those of the shards before it."""
    if not 1 <= len(name) <= SHARD_CHARACTERS_MAX:
        raise bad_request(f"a shard's name has {len(name)} characters; expected 1 to 200")
    if type(members) is not list or not members:
        raise bad_request(f"shard {name} is not a list of one or more nodes")
    found: Nodes = {}
    for member in members:
        node, address = _node_of(name, member)
        before = {**known, **found}
        if node in before or address in before.values():
            words = f"{node} at {address}: every id and every address stands in a view once"
            raise bad_request(f"shard {name}: {words}")
        found[node] = address
    return found


def _node_of(shard: str, member: object) -> tuple[str, str]:
    """Read the name and the address of a node."""
    if type(member) is not dict:
        raise bad_request(f'shard {shard}: a node is {{"address":"ip:port","id":0}}')
    identifier = member.get("id")
    if type(identifier) not in (int, str) or not ID.fullmatch(str(identifier)):
        words = "id is missing, or not a number or a name of at most 64 letters and digits"
        raise bad_request(f"shard {shard}: {words}")
    return name_of(str(identifier)), address_of(member, "address")


# ------------------------------------------------------------------ making a layout


def _dealt(view: View, shards: tuple[Shard, ...]) -> bytes:
    """Assign each slot to a shard: equal shares, and as few slots as possible move."""
    if not view.owner:
        return spread(bytes(SLOTS), len(shards))
    heirs = _heirs(view.shards, shards)
    return spread(bytes(heirs.get(old, NOBODY) for old in view.owner), len(shards))


def _heirs(before: tuple[Shard, ...], after: tuple[Shard, ...]) -> dict[int, int]:
    """Map each old shard to the new one that goes on with its slots.

    That is the shard of its name, or else a new shard that has most of its nodes.
    """
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
