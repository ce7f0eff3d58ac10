"""Where keys live: keys hash to 4096 slots, shards own slots, and a view says which and who.

A view is a value: numbered, and named after the node that proposed it, so that any two views have
an order.  The first one is the same on every node that computes it from the same settings.  The
hash is keyed with a fixed salt, so that it is the same everywhere and names in sequence spread
evenly.  (protocol D10; design, section 1.)
"""

import base64
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

Actor = str
SLOTS = 4096
SHARDS_MAX = 256  # a layout says the shard of a slot in a byte
SALT = b"coterie-1818"
Digest = int  # 36 bits: 12 of the slot, 23 more of the hash, and 1 if the key is in lww mode
Slot = int


@lru_cache(maxsize=16_384)
def digest_of(key: str, lww: bool) -> Digest:
    """The name a token uses for the key."""
    hashed = int.from_bytes(blake2b(key.encode(), digest_size=8, key=SALT).digest(), "big")
    return hashed >> 28 & ~1 | lww


def slot_of(digest: Digest) -> Slot:
    return digest >> 24


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
    """What a view change is about: nodes, shards, and the shard (by its place) of each slot.

    A node's name is its address, unless there are `addresses`: then these say where the nodes are,
    in their order ("": not said), and may be others in the next view.
    """

    nodes: tuple[str, ...]
    shards: tuple[Shard, ...]
    owner: bytes
    addresses: tuple[str, ...] = ()


class View(msgspec.Struct, frozen=True, dict=True):
    """A layout with its place in history.

    `ids` are the node ids that the proposer knew at `nodes`, in their order ("" where it knew
    none; all unknown when there are none at all); `ancestors` the unretired views it knew.
    """

    number: int
    nodes: tuple[str, ...]
    shards: tuple[Shard, ...]
    owner: bytes
    proposer: str = ""
    ids: tuple[str, ...] = ()
    ancestors: tuple[ViewId, ...] = ()
    addresses: tuple[str, ...] = ()

    @cached_property
    def id(self) -> ViewId:
        return ViewId(self.number, self.proposer)

    @property
    def layout(self) -> Layout:
        return Layout(self.nodes, self.shards, self.owner, self.addresses)

    def shard_of(self, slot: Slot) -> Shard:
        return self.shards[self.owner[slot]]

    def asked_by(self, address: str, slot: Slot, turn: int) -> tuple[str, ...]:
        """The members of the slot's shard in the order in which this node asks them: itself first,
        where it is one, otherwise each in its turn."""
        members = self.shard_of(slot).members
        own_first = self._own_first.get((address, members))
        if own_first is not None:
            return own_first
        first = turn % len(members)
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
    """Where this layout says that a node is; nothing of a node that it does not name."""
    if node not in layout.nodes:
        return ""
    return layout.addresses[layout.nodes.index(node)] if layout.addresses else node


def no_view(nodes: tuple[str, ...]) -> View:
    """Where a node begins that has yet to be told its view: it owns nothing and asks these."""
    return View(0, nodes, (), b"")


def first_view(nodes: tuple[str, ...] | list[str], shard_count: int) -> View:
    """The view that all nodes compute from the same VIEW and SHARD_COUNT.

    Raises ValueError when there are fewer nodes than shards, or an address comes twice.
    """
    if len(set(nodes)) != len(nodes):
        twice = sorted({node for node in nodes if nodes.count(node) > 1})
        raise ValueError(
            f"VIEW names {', '.join(twice)} more than once; every node has one address"
        )
    if not 1 <= shard_count <= len(nodes):
        raise ValueError(f"SHARD_COUNT={shard_count} needs between 1 and {len(nodes)} shards")
    cuts = [len(nodes) * i // shard_count for i in range(shard_count + 1)]
    shards = tuple(
        Shard(f"s{i + 1}", tuple(nodes[cuts[i] : cuts[i + 1]])) for i in range(shard_count)
    )
    return View(1, tuple(nodes), shards, spread(b"\0" * SLOTS, shard_count))


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


def short_name(node_id: str) -> str:
    """Six characters for a node id of many."""
    digest = blake2b(node_id.encode(), digest_size=6).digest()
    return base64.urlsafe_b64encode(digest).decode()[:6]


def actor_of(view: ViewId, node_id: str) -> Actor:
    """The name of one life of a replica in one view (D1): never used by another."""
    return f"{short_name(node_id)}.{view}"


def short_of(actor: Actor) -> str:
    """The short name of the node that writes as this actor."""
    return actor.partition(".")[0]


@lru_cache(maxsize=4096)
def view_of(actor: Actor) -> ViewId:
    """The view in which this actor writes."""
    _, _, rest = actor.partition(".")
    number, _, proposer = rest.partition(".")
    return ViewId(int(number), proposer) if number.isdecimal() else FIRST
