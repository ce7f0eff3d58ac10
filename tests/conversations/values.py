"""How a conversation spells clocks, tokens and items."""

from node.core.model.dots import DotClock, Vector
from node.core.model.drawn_identity import is_drawn, run_and_number
from node.core.model.item import Item, Past, Version
from node.core.model.token import COUNT_MAX, Token
from node.core.model.view import FIRST, ViewId
from node.core.model.write_name import WriteNames
from tests.conversations.names import Names, braces

LONG_BYTES = 40


class Values(Names):
    """The words of what replicas hold."""

    def vector(self, vector: Vector) -> str:
        """Spell every actor's number; "all" for an ended incarnation that no token has to name
        now."""
        entries = sorted((self.actor(actor), n) for actor, n in vector.items())
        return braces(f"{actor}:{'all' if n == COUNT_MAX else n}" for actor, n in entries)

    def clock(self, clock: DotClock) -> str:
        """Spell a clock: `a1:3+5` has 1 to 3, and 5; `below 2` is whatever older views wrote."""
        entries = []
        for actor in {**clock.base, **clock.loose}:
            loose = "".join(f"+{n}" for n in sorted(clock.loose.get(actor, ())))
            entries.append(f"{self.actor(actor)}:{clock.base.get(actor, 0)}{loose}")
        return braces(self._below(clock.oldest_view) + sorted(entries))

    def _below(self, oldest_view: ViewId) -> list[str]:
        return [f"below {self.view(oldest_view)}"] if oldest_view > FIRST else []

    def past(self, past: Past) -> str:
        loose = " ".join(f"+{dot}" for dot in sorted(map(self.dot, past.loose)))
        below = "".join(f" {words}" for words in self._below(past.oldest_view))
        return f"{self.vector(past.base)}{loose and ' '}{loose}{below}"

    def token(self, token: Token) -> str:
        """Spell a token: `a1:3 of x` is an exact dot, `a1 up to 2` a floor."""
        exact = [f"{self.dot(dot)} of {self._keys[tag]}" for dot, tag in token.exact.items()]
        floors = [f"{self.actor(actor)} up to {n}" for actor, n in token.floor.items()]
        met = f" met {self.view(token.view)}" if token.view > FIRST else ""
        return braces(sorted(exact) + sorted(floors), ", ") + met

    def item(self, item: Item) -> str:
        versions = sorted((self.dot(d), self._version(v)) for d, v in item.versions.items())
        body = braces((f"{dot} {words}" for dot, words in versions), ", ")
        body += f" named {self._namings(item.past.namings)}" if item.past.namings else ""
        return f"{body} past {self.past(item.past)}" if item.past else body

    def _namings(self, namings: WriteNames) -> str:
        named = (f"{called(name)}: {self.dot(each.dot)}" for name, each in namings.items())
        return braces(sorted(named))

    def _version(self, version: Version) -> str:
        value = "deleted" if version.value is None else text_of(version.value)
        value += f" clock {self.vector(version.clock)}" if version.clock else ""
        value += f" as {called(version.identity)}" if version.identity else ""
        return f"{value} after {self.token(version.deps)}" if version.deps else value


def text_of(value: bytes) -> str:
    """Spell a value, but not a long one."""
    return f'"{value.decode()}"' if len(value) <= LONG_BYTES else f"{len(value)} bytes"


def called(identity: str) -> str:
    """Return the identity of a write; of one that an origin has drawn the number alone."""
    return f"~{run_and_number(identity)[1]}" if is_drawn(identity) else identity
