"""What a node remembers of another one: where it is, the link with it, and what that has cost."""

import asyncio
from dataclasses import dataclass, field

from node.shell.sockets import Link


@dataclass(slots=True)
class Tally:
    """What one peer has cost since it was first known; a guest, since it came."""

    up: bool = False
    frames_out: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Peer:
    """Another node: one that is known, or a guest while its link lasts."""

    tally: Tally = field(default_factory=Tally)
    where: str = ""  # where it is dialed
    link: Link | None = None
    dialer: asyncio.Task[None] | None = None
    apart: asyncio.Event = field(default_factory=asyncio.Event)  # set while there is no link
