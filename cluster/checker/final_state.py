"""What must be true once faults are healed and all is quiet: replicas agree, nothing is lost.

The checker treats a replica at rest like a read that had to know of every write that was
acknowledged or ever seen.  A rule that it breaks by leaving a write out is a LostWrite; one that it
breaks by showing a replaced value is a Resurrected.  The checker compares replicas by what they
show, and by the dots they hold unless a delete mark is still on its way out.
"""

from collections.abc import Iterator

from cluster.checker.arbitration import Arbitration
from cluster.checker.causal_order import CausalOrder
from cluster.checker.history import Mode
from cluster.checker.reads_from import Seen, Sources
from cluster.checker.rules import Fault, Observation, Rules
from cluster.checker.violations import Final, FinalState, Findings, ViolationKind, describe

KIND_AT_REST: dict[ViolationKind, ViolationKind] = {
    "WriteCORead": "Resurrected",
    "StaleVersion": "Resurrected",
    "WriteCOInitRead": "LostWrite",
    "MissingVersion": "LostWrite",
}


class FinalCheck:
    """Checks the final states of one run against its order and rules."""

    def __init__(self, sources: Sources, rules: Rules, findings: Findings) -> None:
        self._sources = sources
        self._rules = rules
        self._order = rules.order
        self._findings = findings
        self._witnessed = witnessed(rules.order)
        self._modes: dict[str, Mode] = {
            each.key: "lww" if each.mode == "lww" else "siblings" for each in rules.order.operations
        }

    def check(self, final: Final, arbitration: Arbitration) -> None:
        """Report every fault of the final states, and add their edges to the arbitration."""
        self._sources.check_final(final)
        for key, replicas in sorted(final.replicas.items()):
            differences = {fingerprint(state): node for node, state in sorted(replicas.items())}
            states = [replicas[node] for node in differences.values()]
            agreed = self._agreed(key, replicas)
            for view in self._views(key, states):
                self._report(key, self._faults(key, view))
                if agreed:
                    arbitration.learn(self._rules.beaten(key, view))

    def _agreed(self, key: str, replicas: dict[str, FinalState]) -> bool:
        shown = {tuple(sorted(state.values)) for state in replicas.values()}
        held = {tuple(sorted(state.dots)) for state in replicas.values()}
        has_marks = any(state.marks for state in replicas.values())
        if len(shown) < 2 and (len(held) < 2 or has_marks):
            return True
        told = "; ".join(
            f"{node} shows {sorted(state.values)} and holds {sorted(state.dots)}"
            for node, state in sorted(replicas.items())
        )
        self._findings.add("Diverged", f"replicas of {key!r} differ: {told}")
        return False

    def _views(self, key: str, states: list[FinalState]) -> Iterator[Observation]:
        if key not in self._rules.keys:
            return
        for state in states:
            seen = self._sources.seen(key, state.values, state.dots, state.marks)
            past = self._witnessed | self._order.bits(seen.held)
            yield Observation(mode=self._modes[key], past=past, seen=seen)

    def _faults(self, key: str, view: Observation) -> list[Fault]:
        faults = self._rules.faults(key, view)
        if view.mode == "lww" and not any(fault.kind == "WriteCOInitRead" for fault in faults):
            faults += self._lost_register(key, view.past, view.seen)
        return faults

    def _lost_register(self, name: str, past: int, seen: Seen) -> Iterator[Fault]:
        """Find the write that came after all others of its key, and so must be there."""
        key = self._rules.keys[name]
        last = key.writes.bit_length() - 1
        others = key.writes ^ 1 << last
        must_stay = key.binding & key.puts & past & ~self._order.bits(seen.held)
        if must_stay >> last & 1 and not others & ~self._order.past[last]:
            yield Fault("MissingVersion", last)

    def _report(self, key: str, faults: list[Fault]) -> None:
        for fault in faults:
            ignored = self._order.operations[fault.ignored]
            if fault.stale is None:
                text = f"{key!r} ends without {describe(ignored)}, which nothing replaced"
                self._findings.add(KIND_AT_REST[fault.kind], text)
            else:
                stale = self._order.operations[fault.stale]
                text = f"{key!r} ends with {describe(stale)}, replaced by {describe(ignored)}"
                self._findings.add(KIND_AT_REST[fault.kind], text)


def witnessed(order: CausalOrder) -> int:
    """Return the writes that were acknowledged or that a read saw."""
    acknowledged = (each for each in order.operations if each.writes and each.status == "ok")
    seen = (write for each in order.operations for write in order.seen(each).held)
    return order.bits({each.id: each for each in (*acknowledged, *seen)}.values())


def fingerprint(state: FinalState) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Return a value that is equal for states that are the same to the rules."""
    return tuple(sorted(state.values)), (*sorted(state.dots), "marks", *sorted(state.marks))
