"""How many copies are enough: arithmetic, nothing else (P-3).

`available` wants a majority, but counts only members that can still answer: one durable copy is
enough when no other member can.
"""

Level = str  # "available", "one", "quorum", "all" or a number
# a majority if it can be reached within the write budget, else what is up
AVAILABLE = "available"


def majority(copies: int) -> int:
    return copies // 2 + 1


def wanted(level: Level, copies: int) -> int:
    """The acks that this level asks of a group; ValueError when the level is not one."""
    if level in (AVAILABLE, "quorum"):
        return majority(copies)
    if level in ("one", "all"):
        return 1 if level == "one" else copies
    if level.isdecimal() and 1 <= int(level) <= copies:
        return int(level)
    raise ValueError(
        f"level {level!r}: expected available, one, quorum, all or a number from 1 to {copies}"
    )


def enough(level: Level, copies: int, acks: int, awaited: int) -> bool:
    """Whether a write with `acks` may be answered; `awaited` members may yet answer in time."""
    target = wanted(level, copies)
    if level == AVAILABLE:
        target = max(1, min(target, acks + awaited))
    return acks >= target
