"""What nodes say to each other, in words: `alice:2` is the second write of alice.

A clock {alice:2 bob:1} has every write of alice up to the second, and bob's first one; a write
beyond a gap stands by itself.
"""

from collections.abc import Callable, Iterable

from examples.stage.page import shown
from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.item import Item
from node.core.protocol import messages as m

# Signs of life and what nodes know of each other: no story is about these.
CHATTER = (
    m.Heartbeat, m.Gossip, m.Views, m.Join, m.DeclaredRuns, m.WantRuns, m.Superseded,
)  # fmt: skip

NameOf = Callable[[Actor], str]


class Words:
    """The words of one cluster; `name_of` gives the node that writes as an actor."""

    def __init__(self, name_of: NameOf) -> None:
        self._name_of = name_of

    def dot(self, dot: Dot) -> str:
        return f"{self._name_of(dot[0])}:{dot[1]}"

    def clock(self, clock: DotClock) -> str:
        """Return a set of writes: everything up to a number, and single ones above."""
        loose = [(actor, n) for actor, numbers in clock.loose.items() for n in numbers]
        words = sorted(map(self.dot, [*clock.base.items(), *loose]))
        return "{" + " ".join(words) + "}"

    def seen(self, base: Vector, loose: Iterable[Dot]) -> str:
        """Return what a token, a context or a key's past names."""
        clock = DotClock(dict(base))
        for dot in sorted(loose):
            clock.add(dot)
        return self.clock(clock)

    def versions(self, item: Item) -> list[str]:
        """Return the versions of a key, each with its name and value."""
        values = {self.dot(dot): version.value for dot, version in item.versions.items()}
        return [
            f"{name} = {'deleted' if value is None else shown(value)}"
            for name, value in sorted(values.items())
        ] or ["no value"]

    def names(self, item: Item) -> str:
        """Return the names of a key's versions."""
        return " ".join(sorted(map(self.dot, item.versions))) or "nothing"

    def message(self, message: m.Message) -> str:
        """Return what a message says, as far as a learner wants to know."""
        return f"{type(message).__name__} {self._content(message)}".rstrip()

    def _content(self, message: m.Message) -> str:
        match message:
            case m.Ack(dot=dot):
                return self.dot(dot)
            case m.Replicate(item=item) | m.ReadRepair(item=item):
                past = self.seen(item.past.base, item.past.loose)
                return f"{self.names(item)}; seen {past}"
            case m.Fetch(key=key):
                return key
            case m.State(item=item, clock=clock):
                return f"{self.names(item)}; clock {self.clock(clock)}"
            case m.Compare(summaries=summaries):
                return f"clock {self.clock(joined(each.clock for each in summaries))}"
            case m.Pull(clock=clock):
                return f"what {self.clock(clock)} lacks"
            case m.ItemPage(items=items):
                return "; ".join(f"{key}: {self.names(items[key])}" for key in sorted(items))
        return ""


def joined(clocks: Iterable[DotClock]) -> DotClock:
    """Return the clock that has what any of these has."""
    both = DotClock()
    for clock in clocks:
        both.join(clock)
    return both
