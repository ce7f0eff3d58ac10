"""Which peers can be reached, judged by what was heard of each, and when.

A peer is *reachable* while its link is up and it was heard of a moment ago: requests wait for it.
A peer is *alive* for longer: views and member lists go by that.  A wrong guess costs time and never
data.
"""

from node.core.model.pace import DEAD_AFTER_S, SUSPECT_AFTER_S

NEVER = float("-inf")


class Detector:
    """Remembers links and last signs of life."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._heard: dict[str, float] = {}
        self._up: dict[str, float] = {}

    def link_up(self, peer: str, now: float) -> None:
        self._up[peer] = now
        self._heard[peer] = now

    def link_down(self, peer: str) -> None:
        self._up.pop(peer, None)

    def hear(self, peer: str, now: float) -> None:
        self._heard[peer] = now
        if peer not in self._up:
            self._up[peer] = now

    def heard(self, peer: str) -> float:
        """When the last message of this peer came; minus infinity for never."""
        return self._heard.get(peer, NEVER)

    def up_since(self, peer: str) -> float:
        """When its link came up; infinity while it is down."""
        return self._up.get(peer, float("inf"))

    def reachable(self, peer: str, now: float) -> bool:
        if peer == self.address:
            return True
        return peer in self._up and now - self._heard.get(peer, NEVER) <= SUSPECT_AFTER_S

    def alive(self, peer: str, now: float) -> bool:
        return peer == self.address or now - self.heard(peer) <= DEAD_AFTER_S
