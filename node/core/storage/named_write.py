"""A write that this replica has named."""

from typing import NamedTuple

from node.core.model.dots import Dot, Vector
from node.core.model.item import Item, Past
from node.core.model.token import Token


class NamedWrite(NamedTuple):
    """A write that has its dot: what to replicate, and what to answer."""

    dot: Dot
    item: Item
    token: Token
    context: Past
    replaced: bool
    clock: Vector | None
