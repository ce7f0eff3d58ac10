"""What all messages between nodes are made of."""

import msgspec


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The base of all peer messages."""
