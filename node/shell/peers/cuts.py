"""The peers that a test has cut off: traffic with them is dropped until the cut ends by itself."""

import asyncio
from collections.abc import Collection


class Cuts:
    """Peers by their names, each with the end of its cut."""

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}  # on the loop's clock

    def add(self, peers: Collection[str], ttl_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + ttl_s
        self._deadlines.update(dict.fromkeys(peers, deadline))

    def clear(self) -> None:
        self._deadlines.clear()

    def now(self) -> set[str]:
        return {peer for peer in list(self._deadlines) if self.has(peer)}

    def has(self, peer: str) -> bool:
        """Whether the peer is cut off now."""
        deadline = self._deadlines.get(peer) if self._deadlines else None
        if deadline is not None and deadline <= asyncio.get_running_loop().time():
            del self._deadlines[peer]
            return False
        return deadline is not None
