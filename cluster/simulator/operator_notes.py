"""Whether what nodes tell their operators is true."""

from collections.abc import Sequence

from cluster.simulator.invariants import InvariantMonitor, ViolationError


def judge_notes(monitor: InvariantMonitor, notes: Sequence[str]) -> None:
    """Demand that every note to operators is true, by what the monitor has seen of the run."""
    reached = monitor.reached
    anew = [note for note in notes if "new incarnation" in note]
    given_up = [note for note in anew if "gives up its old rows" in note]
    reached["a node begins a new incarnation on its rows"] += len(anew) - len(given_up)
    reached["a new incarnation gives up its old rows"] += len(given_up)
    if anew and not reached["a disk put back as it was"] + reached["a copied disk"]:
        raise ViolationError("FalseLife", anew[0])
    if len(anew) < len(notes) and not reached["a row has changed by itself"]:
        raise ViolationError("FalseRot", next(note for note in notes if note not in anew))
