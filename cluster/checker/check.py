"""The judge: does a history keep the causal promises, and did it end well?

The checker judges `lww` keys as convergent causal registers (CC and CCv of "On Verifying Causal
Consistency", POPL 2017), and `siblings` keys as causal multi-value registers.  It is sound: it
never accuses what the store may legally do under faults.  A write of unknown outcome is a leaf of
its session that may have been applied; a failed one was not.  Pure: the verdict depends on the
arguments alone.  It says nothing of what a run has exercised.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cluster.checker.arbitration import Arbitration
from cluster.checker.causal_order import CausalOrder
from cluster.checker.final_state import FinalCheck
from cluster.checker.guarantees import guarantee
from cluster.checker.history import Dot, History, Operation
from cluster.checker.reads_from import Sources
from cluster.checker.rules import Fault, Observation, Rules
from cluster.checker.violations import Excused, Final, Findings, Violation, describe

NO_NAMES: Mapping[Dot, str] = MappingProxyType({})


def _nothing_excused(operation: Operation) -> bool:
    return False


def check(
    history: History,
    final: Final | None = None,
    *,
    excused: Excused = _nothing_excused,
    by_context: bool = False,
    names: Mapping[Dot, str] = NO_NAMES,
) -> list[Violation]:
    """Return the promises that `history` breaks, and `final` with it; empty if they keep them all.

    `excused` names the writes that the injected faults may have lost.  `by_context` demands that
    siblings vanish only when a context covered them, and not because a newer write is causally
    after them: that is sharper, and right only where every sent context is recorded.  `names` has
    values by dot, also those that no answer has shown, because a read shows one sibling of several.
    Raises ValueError if two puts write one value, KeyError if an operation refers to one that is
    not in the history.
    """
    findings = Findings()
    sources = Sources(history, findings, names)
    for operation in history:
        if operation.reads:
            sources.check_read(operation)
    order = CausalOrder(history, sources, findings)
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
            view = Observation(read.mode, order.past[at], order.seen(read), position=at)
            arbitration.learn(rules.beaten(read.key, view))
            for fault in rules.faults(read.key, view):
                if not findings.full(fault.kind):
                    _report(order, at, fault, findings)


def _report(order: CausalOrder, at: int, fault: Fault, findings: Findings) -> None:
    read, ignored = order.operations[at], order.operations[fault.ignored]
    text = f"{describe(read)} ignores {describe(ignored)}"
    stale = [] if fault.stale is None else [order.operations[fault.stale]]
    relied = "".join(f" and relies on {describe(each)}" for each in stale)
    text += f"{relied}: {guarantee(order, at, fault.ignored)}"
    findings.add(fault.kind, text)
