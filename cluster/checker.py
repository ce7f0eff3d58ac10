"""The judge: does a history keep the causal promises, and did it end well?

`lww` keys are judged as convergent causal registers (CC and CCv of «On Verifying Causal
Consistency», POPL 2017), `siblings` keys as causal multi-value registers. Sound first: whatever
the store may legally do under faults is never accused. A write of unknown outcome is a leaf of its
session that may have been applied; a failed one was not. Pure: the verdict depends on the
arguments alone, and says nothing of runs that exercised nothing (see `Summary.shortfalls`).
"""

from cluster.checker_cycles import Arbitration
from cluster.checker_final import FinalCheck
from cluster.checker_guarantees import guarantee
from cluster.checker_order import Order
from cluster.checker_rules import Fault, Rules, View
from cluster.checker_sources import Sources
from cluster.checker_words import (
    Excused,
    Final,
    FinalState,
    Findings,
    Violation,
    ViolationKind,
    describe,
)
from cluster.history import History, Operation

__all__ = ["Excused", "Final", "FinalState", "Violation", "ViolationKind", "check"]


def _nothing_excused(operation: Operation) -> bool:
    return False


def check(
    history: History,
    final: Final | None = None,
    *,
    excused: Excused = _nothing_excused,
    by_context: bool = False,
) -> list[Violation]:
    """Return the promises `history` breaks, and `final` with it; empty if it keeps them all.

    `excused` names the writes that the injected faults may have lost. `by_context` demands that
    siblings vanish only when a context covered them, not whatever is causally before a newer one:
    sharper, and right only where every context sent is recorded. Raises ValueError if two puts
    write one value, KeyError if an operation refers to one that is not in the history.
    """
    findings = Findings()
    sources = Sources(history, findings)
    for operation in history:
        if operation.reads:
            sources.check_read(operation)
    order = Order(history, sources, findings)
    rules = Rules(order, excused, by_context)
    arbitration = Arbitration(order)
    _check_reads(rules, arbitration, findings)
    if final is not None:
        FinalCheck(sources, rules, findings).check(final, arbitration)
    arbitration.check(findings)
    return findings.violations


def _check_reads(rules: Rules, arbitration: Arbitration, findings: Findings) -> None:
    order = rules.order
    for at, read in enumerate(order.operations):
        if read.reads and read.key in rules.keys:
            view = View(read.mode, order.past[at], order.seen(read), position=at)
            arbitration.learn(rules.beaten(read.key, view))
            for fault in rules.faults(read.key, view):
                if not findings.full(fault.kind):
                    _report(order, at, fault, findings)


def _report(order: Order, at: int, fault: Fault, findings: Findings) -> None:
    read, ignored = order.operations[at], order.operations[fault.ignored]
    text = f"{describe(read)} ignores {describe(ignored)}"
    stale = [] if fault.stale is None else [order.operations[fault.stale]]
    relied = "".join(f" and relies on {describe(each)}" for each in stale)
    text += f"{relied}: {guarantee(order, at, fault.ignored)}"
    findings.add(fault.kind, text, read, ignored, *stale)
