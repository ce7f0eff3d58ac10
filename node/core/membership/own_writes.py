"""What a peer's message says of writes that nodes have named, beside its comparisons.

A restarted node looks here for its own writes.  If one is named and not on its disk, the disk is
older than that write.  Only what no client can have made up is looked at: clocks, and the names of
writes that the sender has or had.  The past of an item is left out, because it may hold a client's
context.  (protocol D1; docs/decisions/0035.)
"""

from collections.abc import Callable, Iterable
from typing import Any

from node.core.model.dots import Dot, DotClock
from node.core.protocol import messages as m
from node.core.protocol.hints import HandOver, Hint, Hinted, TakenOver


def clocks_in(message: m.Message) -> tuple[DotClock, ...]:
    """The writes that the message says were named, as clocks."""
    say = SAY.get(type(message))
    return say(message) if say else ()


def _clock_of(dots: Iterable[Dot]) -> DotClock:
    clock = DotClock()
    for dot in dots:
        clock.add(dot)
    return clock


def _of_ack(ack: m.Ack | Hinted | TakenOver) -> tuple[DotClock, ...]:
    return (_clock_of((ack.dot,)),)


def _of_item(message: m.Replicate | m.ReadRepair | Hint | HandOver) -> tuple[DotClock, ...]:
    return (_clock_of(message.item.versions),)


def _of_state(state: m.State) -> tuple[DotClock, ...]:
    return state.clock, _clock_of(state.item.versions)


def _of_pull(pull: m.Pull) -> tuple[DotClock, ...]:
    return (pull.clock,)


def _of_dots(page: m.ItemPage | m.SamePage) -> tuple[DotClock, ...]:
    return page.snapshot, _clock_of(page.dots)


def _of_rows(page: m.RowPage) -> tuple[DotClock, ...]:
    return (page.snapshot,)


SAY: dict[type, Callable[[Any], tuple[DotClock, ...]]] = {
    m.Ack: _of_ack,
    m.Replicate: _of_item,
    m.ReadRepair: _of_item,
    Hint: _of_item,
    Hinted: _of_ack,
    HandOver: _of_item,
    TakenOver: _of_ack,
    m.State: _of_state,
    m.Pull: _of_pull,
    m.ItemPage: _of_dots,
    m.SamePage: _of_dots,
    m.RowPage: _of_rows,
}
