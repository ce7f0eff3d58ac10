"""The events that a replica handles: peers' messages, clients' requests, links, time."""

import msgspec

from node.core.protocol.messages import Ack, Envelope, Message, Replicate
from node.core.protocol.operations import Request

FREQUENT = (Replicate, Ack)


class Envelopes(msgspec.Struct, frozen=True, gc=False):
    """Envelopes of one peer that came together.  One step handles all of them, so with one write to
    the disk."""

    envelopes: list[Envelope]


def together(envelopes: list[Envelope]) -> list[Envelope | Envelopes]:
    """The same messages in their order, neighbours of the frequent kinds in one event.  None of
    these changes the view, so all that one step causes leaves under one epoch."""
    grouped: list[Envelope | Envelopes] = []
    for envelope in envelopes:
        if not isinstance(envelope.message, FREQUENT):
            grouped.append(envelope)
        elif grouped and isinstance(grouped[-1], Envelopes):
            grouped[-1].envelopes.append(envelope)
        else:
            grouped.append(Envelopes([envelope]))
    return grouped


class Submit(msgspec.Struct, frozen=True, gc=False):
    """A client's request, with the number that its answer will have."""

    request: int
    operation: Request


class LinkUp(msgspec.Struct, frozen=True, gc=False):
    """The link to this peer is open (again)."""

    peer: str


class LinkDown(msgspec.Struct, frozen=True, gc=False):
    """The link to this peer broke."""

    peer: str


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The time that `wake_at` named has come."""


Event = Envelope | Envelopes | Message | Submit | LinkUp | LinkDown | Tick
