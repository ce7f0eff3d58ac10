"""Writes under way at a node of another shard."""

from collections.abc import Sequence

from msgspec.structs import replace

from node.core.membership.failure_detector import Detector
from node.core.model.drawn_identity import Settled
from node.core.model.item import Past
from node.core.model.token import Token
from node.core.protocol.messages import Accept, Ack, Written
from node.core.protocol.operations import Outcome, Put
from node.core.requests.hinting import Hints
from node.core.requests.write_under_way import Writes

MEMBERS = ("m1", "m2", "m3")
DOT = ("a", 1)
WRITTEN = Written(7, DOT, Token({}, {DOT: 8}), Past({"a": 1}), False)
ACK = Ack(7, DOT)


def asked_as(put: Put, attempt: int = 1, number: int = 1, again: bool = False) -> Accept:
    """Return what a home is asked, where m0 has drawn an identity for its write of this number."""
    drawn = replace(put, identity=f"~m0run:{number}")
    return Accept(7, drawn, attempt, again=again, settled=Settled("m0run", number))


class Room:
    """Writes at m0, a node of another shard; the members are up unless said otherwise."""

    def __init__(self, *up: str, level: str = "available", hinted: bool = False) -> None:
        self.detector, self.now = Detector("m0"), 0.0
        for peer in up or MEMBERS:
            self.detector.link_up(peer, 0.0)
        self.writes = Writes("m0", "m0run", self.detector, self.places)
        self.put = Put("pear", b"v", level=level, hinted=hinted)
        self.asked = self.writes.begin(7, self.put, MEMBERS, 0.0)

    def places(self, key: str, members: Sequence[str], away: Sequence[str]) -> Hints:
        """Give each member that is away a holder of its own, if that is up."""
        holders = ((member, f"holder of {member}") for member in away)
        return tuple(pair for pair in holders if self.detector.reachable(pair[1], self.now))

    def ticked(self, now: float) -> Outcome | None:
        self.now = now
        asks, replies = self.writes.tick(now)
        self.asked += asks
        return replies[0][1] if replies else None
