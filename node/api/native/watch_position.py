"""How far a watch has come: a clock for each slot, and its opaque form, the id of an event.

The clocks say which writes the watch has been told.  Slots with one clock are kept together; in a
view that has settled they are those of one shard.  An id is just this, so any node goes on from it,
under any prefix.
"""

import base64
import zlib
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Annotated

import msgspec

from node.core.model.actors import HEAD, Actor, is_actor
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Past
from node.core.model.slots import ALL, SLOTS_BYTES, Slots, from_bytes, to_bytes
from node.core.model.token import ALL_KEYS, COUNT_MAX, Malformed, Token, checked_name
from node.core.model.view import ViewId
from node.core.protocol.watching import Cause

POSITION_BYTES_MAX = 6144  # of the text; a longer one is not given out
CHECKSUM_BYTES = 6
NOT_OURS = "it is no id of an event, or was changed: leave it out"


class Clocks:
    """For each slot, the writes that are known; no slot is in two groups."""

    def __init__(self, groups: Iterable[tuple[Slots, DotClock]] = ()) -> None:
        self.groups = list(groups)

    def within(self, slots: Slots) -> list[tuple[Slots, DotClock | None]]:
        """These slots with their clocks; None where there is none yet."""
        found: list[tuple[Slots, DotClock | None]] = []
        for group, clock in self.groups:
            if part := group & slots:
                found.append((part, clock))
                slots &= ~part
        return [*found, (slots, None)] if slots else found

    def join(self, slots: Slots, clock: DotClock) -> None:
        """Know all that this clock says of these slots, too."""
        joined = []
        for part, own in self.within(slots):
            both = own.copy() if own is not None else DotClock()
            both.join(clock)
            joined.append((part, both))
        self._put(slots, joined)

    def replace(self, slots: Slots, read: Iterable[tuple[Slots, DotClock]]) -> None:
        """Know of these slots what was read now, and no more."""
        fresh = Clocks()
        for part, clock in read:
            fresh.join(part & slots, clock)
        self._put(slots, fresh.groups)

    def _put(self, slots: Slots, groups: Iterable[tuple[Slots, DotClock]]) -> None:
        kept = [(rest, own) for group, own in self.groups if (rest := group & ~slots)]
        self.groups = []
        for part, clock in (*kept, *groups):
            self._add(part, clock)

    def _add(self, slots: Slots, clock: DotClock) -> None:
        for place, (group, own) in enumerate(self.groups):
            if own == clock:
                self.groups[place] = group | slots, own
                return
        self.groups.append((slots, clock))

    def covers(self, cause: Cause) -> bool:
        """Whether these writes are known in all slots that they concern."""
        for group, clock in self.groups:
            if group & cause.slots and not clock.drops(cause.actor):
                if cause.is_floor and clock.base.get(cause.actor, 0) < cause.n:
                    return False
                if not cause.is_floor and not clock.has((cause.actor, cause.n)):
                    return False
        return True

    def without(self, dots: Iterable[Dot]) -> "Clocks":
        """The same, less these writes."""
        less = list(dots)
        return Clocks((slots, clock.without(less)) for slots, clock in self.groups)

    def without_heads(self) -> "Clocks":
        """The same, less the past runs that are named by heads alone."""
        return Clocks(
            (
                slots,
                DotClock(
                    {actor: n for actor, n in clock.base.items() if HEAD not in actor},
                    clock.loose,
                    clock.oldest_view,
                ),
            )
            for slots, clock in self.groups
        )

    @property
    def token(self) -> Token:
        """A token that names all that is known."""
        token = Token()
        for _, clock in self.groups:
            token = token.joined(Token(dict(clock.base), {}, ALL_KEYS))
        return token


class Position(msgspec.Struct, frozen=True):
    """The id of an event: what had been told with it, by the clock of which cluster, and when."""

    clocks: Clocks
    cluster: str
    at: float


_Number = Annotated[int, msgspec.Meta(ge=1, lt=COUNT_MAX)]
_ViewNumber = Annotated[int, msgspec.Meta(ge=0, lt=COUNT_MAX)]


class _Group(msgspec.Struct, array_like=True):
    slots: bytes
    base: dict[Actor, _Number]
    loose: dict[Actor, list[_Number]]
    oldest_view: tuple[_ViewNumber, str]


class _Position(msgspec.Struct, array_like=True):
    version: int
    cluster: str
    at_ms: int
    groups: list[_Group]


_decoder = msgspec.msgpack.Decoder(_Position)


def position_text(position: Position, packed: Callable[[Past], Past]) -> str:
    """Return the id; empty if it would be too long for a header.  `packed` makes clocks short,
    however often nodes were started."""
    groups = [
        _Group(
            to_bytes(slots),
            packed(Past(clock.base)).base,
            {actor: sorted(numbers) for actor, numbers in clock.loose.items()},
            clock.oldest_view,
        )
        for slots, clock in position.clocks.groups
    ]
    said = _Position(1, position.cluster, int(position.at * 1000), groups)
    raw = zlib.compress(msgspec.msgpack.encode(said))
    text = base64.urlsafe_b64encode(_checksum(raw) + raw).decode().rstrip("=")
    return text if len(text) <= POSITION_BYTES_MAX else ""


def position_of(text: str) -> Position:
    """Return the position that a client sends back; raise Malformed."""
    if len(text) > POSITION_BYTES_MAX:
        raise Malformed(f"it has {len(text)} bytes; the limit is {POSITION_BYTES_MAX}")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if raw[:CHECKSUM_BYTES] != _checksum(raw[CHECKSUM_BYTES:]):
            raise Malformed(NOT_OURS)
        said = _decoder.decode(zlib.decompress(raw[CHECKSUM_BYTES:]))
        groups = [(_slots_of(group.slots), _clock_of(group)) for group in said.groups]
    except (ValueError, zlib.error, msgspec.MsgspecError):
        raise Malformed(NOT_OURS) from None
    seen = 0
    for slots, _ in groups:
        if seen & slots or slots & ~ALL:
            raise Malformed(NOT_OURS)
        seen |= slots
    return Position(Clocks(groups), checked_name(said.cluster), said.at_ms / 1000)


def _slots_of(packed: bytes) -> Slots:
    slots = from_bytes(packed)
    if slots.bit_length() > SLOTS_BYTES * 8:
        raise Malformed(NOT_OURS)
    return slots


def _clock_of(group: _Group) -> DotClock:
    loose = {actor: set(numbers) for actor, numbers in group.loose.items()}
    if not all(map(is_actor, (*group.base, *loose))):
        raise Malformed(NOT_OURS)
    return DotClock(dict(group.base), loose, ViewId(*group.oldest_view))


def _checksum(said: bytes) -> bytes:
    return blake2b(said, digest_size=CHECKSUM_BYTES, key=b"position").digest()
