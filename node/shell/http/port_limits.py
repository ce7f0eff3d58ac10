"""What the HTTP port lets a client take: time, memory, streams."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PortLimits:
    """How long the port waits for a client, and how much it holds for all of them."""

    idle_timeout_s: float = 75.0  # for a connection without a request, or headers that do not end
    head_timeout_s: float = 5.0  # for TLS to be agreed on
    linger_s: float = 2.0  # for the rest of a refused body, so that its client reads the answer
    bodies_bytes_max: int = 64 * 1024 * 1024  # of all bodies under way; or of one that is larger
    body_timeout_s: float = 60.0  # for a body that does not come with its headers
    room_timeout_s: float = 20.0  # for the bodies before this one to be answered
    streams_max: int = 64  # one more is refused
    watchers_max: int = 64  # one more is refused
    exchanges_max: int = 16  # bodies that are answered while they come; one more is refused
    reader_timeout_s: float = 30.0  # for the client of such a body to read what is said
    close_timeout_s: float = 1.0  # for answers that are still being written when a drain ends


USUAL = PortLimits()
