"""Views: the nodes, the shards, and the shard that owns each of the 4096 slots.

A view is a value.  It has a number and the short name of the node that proposed it, so any two
views have an order.  All nodes that compute the first view from the same settings get the same one.
(protocol D10; design, section 1.)
"""

import base64
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from node.core.model.keys import Slot
from node.core.model.policies import Policies


class Shard(msgspec.Struct, array_like=True, frozen=True):
    """A replica group: its id, as clients see it, and the addresses of its members."""

    id: str
    members: tuple[str, ...]


class ViewId(NamedTuple):
    """The name of a view and its place in the order of all views: the higher one wins.

    `proposer` is a short name of the proposer's node id, empty for the first view.
    """

    number: int
    proposer: str = ""

    def __str__(self) -> str:
        return f"{self.number}.{self.proposer}" if self.proposer else str(self.number)


NO_VIEW = ViewId(0)
FIRST = ViewId(1)


class Layout(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a view change changes: nodes, shards, and the shard (by its place) of each slot.

    A node's name is its address, unless there are `addresses`: then these say where the nodes are,
    in their order ("": not said), and may be others in the next view.  `policies` are those of the
    next view; None: they stay.
    """

    nodes: tuple[str, ...]
    shards: tuple[Shard, ...]
    owner: bytes
    addresses: tuple[str, ...] = ()
    policies: Policies | None = None


class View(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """A layout with its place in history.

    `ids` are the node ids that the proposer knew at `nodes`, in their order ("" where it knew
    none; all unknown when there are none at all); `ancestors` the unretired views it knew.
    `unsharded`: nodes without a SHARD_COUNT have begun the cluster; it has one shard ever since.
    """

    number: int
    nodes: tuple[str, ...]
    shards: tuple[Shard, ...]
    owner: bytes
    proposer: str = ""
    ids: tuple[str, ...] = ()
    ancestors: tuple[ViewId, ...] = ()
    addresses: tuple[str, ...] = ()
    unsharded: bool = False
    policies: Policies = ()

    @cached_property
    def id(self) -> ViewId:
        return ViewId(self.number, self.proposer)

    @property
    def layout(self) -> Layout:
        return Layout(self.nodes, self.shards, self.owner, self.addresses)

    def with_policies(self, policies: Policies) -> Layout:
        """Return the layout of this view with these policies.  It is the layout of the view if the
        view has them already."""
        if policies == self.policies:
            return self.layout
        return Layout(self.nodes, self.shards, self.owner, self.addresses, policies)

    def shard_of(self, slot: Slot) -> Shard:
        return self.shards[self.owner[slot]]

    def asked_by(self, address: str, slot: Slot, turn: int) -> tuple[str, ...]:
        """The members of the slot's shard in the order in which this node asks them.  A member asks
        itself first; for another node, `turn` says which is first."""
        members = self.shard_of(slot).members
        own_first = self._own_first.get((address, members))
        if own_first is not None:
            return own_first
        first = turn % len(members)
        return members[first:] + members[:first]

    def ranked(self, slot: Slot) -> tuple[str, ...]:
        """The members of the slot's shard in an order that all nodes share; the first place goes
        round with the slots."""
        members = self.shard_of(slot).members
        first = slot % len(members)
        return members[first:] + members[:first]

    @cached_property
    def _own_first(self) -> dict[tuple[str, tuple[str, ...]], tuple[str, ...]]:
        return {
            (own, shard.members): (own, *(member for member in shard.members if member != own))
            for shard in self.shards
            for own in shard.members
        }

    def shard_named(self, name: str) -> Shard | None:
        return next((shard for shard in self.shards if shard.id == name), None)

    def shard_with(self, address: str) -> Shard | None:
        """The shard this node is a member of."""
        return self._shard_with.get(address)

    @cached_property
    def _shard_with(self) -> dict[str, Shard]:
        return {address: shard for shard in self.shards for address in shard.members}

    def id_at(self, address: str) -> str:
        """The node id that the proposer knew there, or nothing."""
        known = dict(zip(self.nodes, self.ids, strict=False))
        return known.get(address, "")

    def slots_of(self, address: str) -> int:
        """The slots this node owns, as a mask: bit n is slot n."""
        return self._slots_of.get(address, 0)

    @cached_property
    def _slots_of(self) -> dict[str, int]:
        return {
            address: self.slots_of_shard(i)
            for i, shard in enumerate(self.shards)
            for address in shard.members
        }

    def slots_of_shard(self, place: int) -> int:
        """The slots of the shard at this place, as a mask."""
        return self._masks[place]

    @cached_property
    def _masks(self) -> list[int]:
        places = self.owner[::-1]  # the last slot is the highest bit
        digits = [places.translate(_is_place(shard)) for shard in range(len(self.shards))]
        return [int(each or b"0", 2) for each in digits]

    @property
    def fingerprint(self) -> str:
        """Equal on two nodes exactly when their views are equal."""
        digest = blake2b(msgspec.msgpack.encode(self), digest_size=6).digest()
        return f"{self.number}-{base64.urlsafe_b64encode(digest).decode()}"


def _is_place(shard: int) -> bytes:
    """A table for `translate`: 1 for this shard's slots, 0 for all others."""
    return bytes(48 + (place == shard) for place in range(256))


def address_in(layout: Layout | View, node: str) -> str:
    """The address of a node by this layout; empty for a node that it does not name."""
    if node not in layout.nodes:
        return ""
    return layout.addresses[layout.nodes.index(node)] if layout.addresses else node


def no_view(nodes: tuple[str, ...], unsharded: bool = False) -> View:
    """The view of a node that knows none yet: it owns nothing and asks these nodes.  If none of
    them knows one, they begin a first view, which is `unsharded` or not."""
    return View(0, nodes, (), b"", unsharded=unsharded)
