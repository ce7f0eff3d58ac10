"""What a replica knows of its shard peers' progress, and pages that it expects."""

from collections.abc import Sequence

from node.core.model.dots import DotClock
from node.core.model.placement import first_view
from node.core.model.view import FIRST
from node.core.protocol.messages import Page
from node.core.replication.progress import PeerProgress, progress_of
from node.core.replication.pull import Repair
from tests.core.given import (
    all_dots,
    clock_of,
    page_of_dots,
    page_of_rows,
    parts_with,
    row as compare,
)

A3, GAP = clock_of(all_dots({"a": 3})), clock_of([("a", 1), ("a", 3)])


def row(
    clock: DotClock, *, arrived: bool = True, ended: Sequence[str] = (), closed: Sequence[str] = ()
) -> PeerProgress:
    """Return a member's row: of all slots."""
    return progress_of(compare(clock, arrived=arrived, ended=ended, closed=closed), FIRST)


def repair_with(*rows: DotClock, now: float = 0.0, mine: DotClock | None = None) -> Repair:
    """Return the repair of member m0, with a row of each shard peer m1, m2 .."""
    repair = Repair("m0")
    repair.on_view(first_view([f"m{i}" for i in range(len(rows) + 1)], 1))
    for i, clock in enumerate(rows):
        learn(repair, f"m{i + 1}", row(clock), mine or DotClock(), now)
    return repair


def learn(
    repair: Repair, shard_peer: str, row: PeerProgress, mine: DotClock, now: float = 0.0
) -> bool:
    return repair.note_progress(shard_peer, row, parts_with(mine), FIRST, now)


def page(number: int, *, last: bool, after: str | None = None, upto: str | None = None) -> Page:
    if after is None:
        return page_of_dots({}, {}, exchange=number, snapshot=A3, last=last)
    assert last is (upto is None)
    return page_of_rows({}, after, upto, A3, exchange=number)
