"""What a node remembers of a peer: its address, the link with it, and its traffic."""

import asyncio
from dataclasses import dataclass

import msgspec

from node.shell.peers.link import Link


@dataclass(slots=True)
class LinkCounts:
    """The traffic with one peer since this node knows it; with an unlisted peer, since it came."""

    up: bool = False
    frames_out: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    dropped: int = 0


class Peer(msgspec.Struct):
    """Another node: a known one, or an unlisted peer while its link lasts."""

    counts: LinkCounts = msgspec.field(default_factory=LinkCounts)
    where: str = ""  # where to dial it
    misfit: str = ""  # how its settings differ from ours, if it began with others
    link: Link | None = None
    dialer: asyncio.Task[None] | None = None
    # side by side, if sought
    attempts: set[asyncio.Task[None]] = msgspec.field(default_factory=set)
    # set while there is no link
    apart: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def dial_no_more(self) -> None:
        """Stop the dialer and every attempt that it has begun."""
        if self.dialer is not None:
            self.dialer.cancel()
            self.dialer = None
        self.drop_attempts()

    def try_beside(self, attempt: asyncio.Task[None]) -> None:
        """Note one more attempt, beside those that hang.  Each ends after HELLO_S.  A network that
        comes back answers a new attempt at once, and an old one only at its next retry."""
        self.attempts.add(attempt)
        attempt.add_done_callback(self.attempts.discard)

    def drop_attempts(self) -> None:
        """Cancel all attempts but the one that calls this."""
        for attempt in self.attempts - {asyncio.current_task()}:
            attempt.cancel()
