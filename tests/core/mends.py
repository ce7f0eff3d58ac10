"""A read that mends, and the states that it receives."""

from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.item import Item
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Get
from tests.core.one import PEAR

READ_REPAIRS = Get(PEAR, Mode.SIBLINGS, copies=2, repair=True)


def state(item: Item) -> m.State:
    return m.State(7, item, DotClock(dict(item.past.base)), [FIRST])


def mends(effects: Effects) -> list[tuple[str, m.ReadRepair]]:
    return [(peer, told) for peer, told in effects.tells if isinstance(told, m.ReadRepair)]
