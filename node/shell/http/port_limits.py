"""What the HTTP port lets a client take: time, memory, streams."""

import resource
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class PortLimits:
    """How long the port waits for a client, and how much it holds for all of them."""

    idle_timeout_s: float = 75.0  # between two requests, or for later headers that do not end
    head_timeout_s: float = 5.0  # for TLS to be agreed on, and for the first whole header
    linger_s: float = 2.0  # for the rest of a refused body, so that its client reads the answer
    bodies_bytes_max: int = 64 * 1024 * 1024  # of all bodies under way; or of one that is larger
    body_timeout_s: float = 60.0  # for a body that does not come with its headers
    body_grace_s: float = 5.0  # then a body must have come as fast as this:
    body_bytes_per_s: float = 1024.0
    room_timeout_s: float = 20.0  # for the bodies before this one to be answered
    streams_max: int = 64  # one more is refused
    watchers_max: int = 64  # one more is refused
    exports_max: int = 4  # one more is refused
    exchanges_max: int = 16  # bodies that are answered while they come; one more is refused
    reader_timeout_s: float = 30.0  # for the client of such a body to read what is said
    close_timeout_s: float = 1.0  # for answers that are still being written when a drain ends
    connections_max: int = 4096
    connections_of_address_max: int = 2048
    reserve_max: int = 64  # connections beyond those bounds, which can only ask for /peer
    requests_per_s_max: int = 0  # of one client; 0: as many as it likes
    in_flight_max: int = 1024  # requests; one more is refused, so that these are answered in time


USUAL = PortLimits()
FILES_BESIDE = 256  # that a process opens beside its connections: for its store, and for links


def fitting(limits: PortLimits) -> PortLimits:
    """Return these limits with no more connections than this process may open files.

    Asks the system for as many as it gives.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections_max + limits.reserve_max + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = max(1, soft - limits.reserve_max - FILES_BESIDE)
        return replace(limits, connections_max=min(limits.connections_max, most))
    return limits
