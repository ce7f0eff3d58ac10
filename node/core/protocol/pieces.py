"""Items that are too large for one message: they travel in pieces, some versions in each.

The law: the past of an item says which versions are obsolete only beside all of its versions.  A
receiver that applied it beside some of them would drop the others, and what they have replaced,
although it has not got them.  So each piece has some versions, the whole past, and the names of all
other versions.  A receiver uses the past once it has each named version, from earlier pieces or its
own item, or has replaced it already.  Until then it only keeps the versions that have come and asks
for the others.  A dot names one version for ever, so pieces that come late, doubled, in any order,
or of a later state of the item do no harm.

Example: the holder has x1, x2 and x3; x3 has replaced y1.  We have y1 and x2.  The first piece has
x1 and the names x2 and x3: nothing changes here.  We ask again and name x1 and x2.  The second
piece has x3 and the names x1 and x2: now all are known, x1 and x3 come in, and y1 goes.
(docs/decisions/0027; protocol D5.)
"""

from collections.abc import Collection, Iterable, Mapping

from node.core.model.dots import Dot
from node.core.model.item import Item, Version
from node.core.protocol.operations import Overfull


def bytes_of(versions: Iterable[Version]) -> int:
    """The bytes of these versions."""
    return sum(version.size for version in versions)


def fits(item: Item, bytes_max: int) -> bool:
    """Whether the item travels in one message: one of a single version always does."""
    versions = item.versions
    return len(versions) <= 1 or bytes_of(versions.values()) <= bytes_max


def piece_of(item: Item, have: Collection[Dot], bytes_max: int) -> tuple[Item, tuple[Dot, ...]]:
    """The item and no names, where it fits; otherwise as many of its versions as fit and at least
    one, none of those that the receiver has said to have, and the names of all others."""
    if fits(item, bytes_max):
        return item, ()
    taken: dict[Dot, Version] = {}
    size = 0
    for dot, version in item.versions.items():
        if dot in have:
            continue
        size += bytes_of((version,))
        if taken and size > bytes_max:
            break
        taken[dot] = version
    rest = tuple(dot for dot in item.versions if dot not in taken)
    return Item(taken, item.past), rest


def whole_of(
    piece: Item, rest: Collection[Dot], known: Mapping[Dot, Version], here: Item
) -> Item | None:
    """The item that a piece is of, for a receiver that knows these versions and holds this (filled)
    item; None while it lacks one of the others.  What it has replaced already is left out."""
    versions = dict(piece.versions)
    for dot in rest:
        version = here.versions.get(dot) or known.get(dot)
        if version is not None:
            versions[dot] = version
        elif not here.past.has(dot):
            return None
    return Item(versions, piece.past)


class Pieces:
    """The pieces of one key's items, from one sender or several, until the items are whole.  It
    keeps the versions that each sender's last piece has or names, so it takes no more memory than
    the items themselves."""

    def __init__(self) -> None:
        self._versions: dict[Dot, Version] = {}
        self._names: dict[str, frozenset[Dot]] = {}  # by sender
        self._have: dict[str, tuple[Dot, ...]] = {}
        self.has_grown = False  # by the last piece: one that comes twice brings nothing

    def add(self, source: str, piece: Item, rest: Collection[Dot], here: Item) -> Item | None:
        """The sender's item, if it is whole by now; `here` is what this node holds of the key."""
        if not rest:
            self._forget(source)
            return piece
        self.has_grown = not piece.versions.keys() <= self._versions.keys()
        for dot, version in piece.versions.items():
            self._versions.setdefault(dot, version)
        names = self._names[source] = frozenset((*piece.versions, *rest))
        self._tidy()
        whole = whole_of(piece, rest, self._versions, here)
        if whole is not None:
            self._forget(source)
            return whole
        self._have[source] = tuple(
            d
            for d in sorted(names)
            if d in self._versions or d in here.versions or here.past.has(d)
        )
        return None

    def have(self, source: str) -> tuple[Dot, ...]:
        """The versions that this sender need not send again; none if no piece of it waits."""
        return self._have.get(source, ())

    def _forget(self, source: str) -> None:
        self._names.pop(source, None)
        self._have.pop(source, None)
        self._tidy()

    def _tidy(self) -> None:
        named = frozenset[Dot]().union(*self._names.values())
        self._versions = {d: v for d, v in self._versions.items() if d in named}


def overfull(
    before: Item, left: Mapping[Dot, Version], value: bytes | None, limits: tuple[int, int]
) -> Overfull | None:
    """Why a client's write may not stand beside the versions that it leaves: there would be more of
    them, or more bytes of values, than `limits` say and than there are now.  A write that makes an
    item no larger is always taken, so that a client can put right what others have filled."""
    number_max, bytes_max = limits
    number = len(left) + 1
    if number > max(number_max, len(before.versions)):
        return Overfull(f"the key would have {number} concurrent values; the limit is {number_max}")
    size = bytes_of(left.values()) + len(value or b"")
    if left and size > max(bytes_max, bytes_of(before.versions.values())):
        return Overfull(
            f"the concurrent values of the key would have {size} bytes; the limit is {bytes_max}"
        )
    return None
