"""A node that knows no view yet."""

from random import Random

from node.core.model.options import Options, Start
from node.core.model.view import no_view
from node.core.protocol import events
from node.core.replica import restore
from tests.core.given import MEGABYTE, MemoryRows
from tests.core.one import One


class Newcomer(One):
    """A node that knows no view, and knows these nodes to ask."""

    def __init__(
        self, address: str = "c1", *others: str, join: bool = True, rows: MemoryRows | None = None
    ) -> None:
        self.rows = rows or MemoryRows()
        start, options = Start(no_view((*others, address)), join), Options(MEGABYTE)
        self.replica = restore(address, start, self.rows, options, Random(address))
        self.step(address, events.Tick())
        for other in others:
            self.step(address, events.LinkUp(other))
