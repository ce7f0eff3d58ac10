"""Counters and sets: values whose concurrent versions are joined, not shown side by side.

Each lies under a key of its own namespace, so a counter, a set and a value may have one name.  The
item is an item like any other: its versions are states.  A home joins the states that it holds,
changes the result, and writes it in their place; a reader joins the siblings.
(docs/decisions/0051.)
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import msgspec

from node.core.model.counters import Counter
from node.core.model.element_sets import ElementSet
from node.core.model.keys import COUNTERS, SETS

State = Counter | ElementSet


class _Kind(NamedTuple):
    """How the states of a namespace are read, and the state in which nothing was done."""

    decode: Any
    empty: State


_KINDS = {
    COUNTERS: _Kind(msgspec.msgpack.Decoder(Counter).decode, Counter()),
    SETS: _Kind(msgspec.msgpack.Decoder(ElementSet).decode, ElementSet()),
}
_encode = msgspec.msgpack.Encoder().encode


def joined(key: str, values: Iterable[bytes]) -> State:
    """The state that the versions of a counter or a set have together."""
    kind = _KINDS[key[: key.index("/") + 1]]
    return reduce(lambda one, two: one.joined(two), map(kind.decode, values), kind.empty)


def value_of(state: State) -> bytes:
    """The state as the value of a version."""
    return _encode(state)
