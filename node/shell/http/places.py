"""How many connections the port holds: in all, of one address, and in reserve for peers.

A connection beyond the bounds gets a place of the reserve, where it can only ask for /peer: so
clients that fill the port keep no peer away.  Where the reserve is full too, it is closed at once.
"""

from collections import Counter
from enum import Enum

from node.shell.http.port_limits import PortLimits


class ConnectionPlace(Enum):
    """What a connection may do."""

    USUAL = "all"
    RESERVED = "ask for /peer alone"
    NONE = "nothing"


class Places:
    """Counts connections by the addresses that they come from."""

    def __init__(self, limits: PortLimits) -> None:
        self._limits = limits
        self._taken: Counter[str] = Counter()
        self._usual = self._reserved = 0

    def take(self, address: str) -> ConnectionPlace:
        """Take a place for a connection from this address."""
        limits = self._limits
        is_full = self._usual >= limits.connections_max
        if not is_full and self._taken[address] < limits.connections_of_address_max:
            self._taken[address] += 1
            self._usual += 1
            return ConnectionPlace.USUAL
        if self._reserved < limits.reserve_max:
            self._reserved += 1
            return ConnectionPlace.RESERVED
        return ConnectionPlace.NONE

    def free(self, address: str, place: ConnectionPlace) -> None:
        """Give back what `take` has given to this address."""
        if place is ConnectionPlace.RESERVED:
            self._reserved -= 1
        elif place is ConnectionPlace.USUAL:
            self._usual -= 1
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]
