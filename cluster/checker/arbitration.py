"""Arbitration: all reads together must allow one order of the writes in which winners are last.

If a read shows w2 and knew of w1, then w1 lost to w2.  These edges and the causal order must not
form a cycle (CyclicCF of "On Verifying Causal Consistency", POPL 2017).  For example, reads that
show A, then B, then A again make one.
"""

from cluster.checker.causal_order import CausalOrder
from cluster.checker.violations import Findings, describe


class Arbitration:
    """The edges that reads show: for each winner, the set of writes that it won over."""

    def __init__(self, order: CausalOrder) -> None:
        self._order = order
        self._losers: dict[int, int] = {}
        self._repeated = sum(1 << at for at, each in enumerate(order.operations) if each.repeated)

    def learn(self, beaten: dict[int, int]) -> None:
        """Add the edges of one read, as winner -> set of losers.

        A write that was sent again may have two names, and until they meet it may stand in two
        places of the order (decision 0041).  So its edges are left out.
        """
        for winner, losers in beaten.items():
            counting = losers & ~self._repeated
            if counting and not self._repeated >> winner & 1:
                self._losers[winner] = self._losers.get(winner, 0) | counting

    def check(self, findings: Findings) -> None:
        """Report one cycle if there is any."""
        cycle = self._flip_flop() or self._cycle()
        if cycle:
            operations = [self._order.operations[at] for at in cycle]
            text = " -> ".join(map(describe, operations))
            findings.add("CyclicCF", f"each of these lost to the next: {text}")

    def _flip_flop(self) -> list[int]:
        """Find two writes that each won over the other: the shortest and most frequent cycle."""
        for winner, losers in self._losers.items():
            for loser in self._order.greatest(losers):
                if self._losers.get(loser, 0) >> winner & 1:
                    return [loser, winner]
        return []

    def _cycle(self) -> list[int]:
        """Search depth first, backwards from winners to what they won over or came after."""
        vertices = 0
        for winner, losers in self._losers.items():
            vertices |= losers | 1 << winner
        unvisited = vertices
        while unvisited:
            path = [unvisited.bit_length() - 1]
            on_path = 1 << path[0]
            unvisited ^= on_path
            while path:
                earlier = self._earlier(path[-1], vertices)
                if back := earlier & on_path:
                    start = next(at for at, each in enumerate(path) if back >> each & 1)
                    return self._shortened(path[start:])
                if onward := earlier & unvisited:
                    path.append(onward.bit_length() - 1)
                    on_path |= 1 << path[-1]
                    unvisited ^= 1 << path[-1]
                else:
                    on_path ^= 1 << path.pop()
        return []

    def _earlier(self, write: int, vertices: int) -> int:
        return (self._order.past[write] & vertices) | self._losers.get(write, 0)

    def _shortened(self, path: list[int]) -> list[int]:
        """Leave out what lies inside a run of causal steps; return the cycle, earliest first."""
        kept: list[int] = []
        for each in path:
            while len(kept) > 1 and self._order.before(each, kept[-2]):
                kept.pop()
            kept.append(each)
        return kept[::-1]
