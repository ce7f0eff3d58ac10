"""What a client does to a counter or a set, and how a home names it."""

from typing import NamedTuple

import msgspec

from node.core.model.dots import Dot
from node.core.model.item import Past


class StateChange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Add this amount to a counter; or remove elements of a set, and add others (as JSON text); or
    reset the counter or the set to nothing."""

    amount: int = 0
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    resets: bool = False


class NamedAs(NamedTuple):
    """How a home names a change: its dot, the identity that its client gave it (empty: none), when
    (milliseconds since the epoch), and all that the home has seen of the key."""

    dot: Dot
    identity: str
    at_ms: int
    past: Past
