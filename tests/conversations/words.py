"""How a conversation spells what it shows: short, whole, and the same on every run.

Actors are called by their node, with a prime for each lost disk (a1, a1'); requests by what they
are (w1 a write, r1 a read, n1 a count).  Stamps, sizes and numbers of exchanges are left out.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from node.core import messages as m
from node.core.clock import Clock, Dot, Vector
from node.core.effects import Record
from node.core.keyspace import CLOCKS, ITEMS, key_of
from node.core.siblings import Item, Past, Version
from node.core.token import COUNT_MAX, Token
from node.core.view import digest_of


class Words:
    """The names of one conversation."""

    def __init__(self) -> None:
        self._actors: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._keys: dict[int, str] = {}
        self._requests: dict[int, str] = {}
        self._message_words: dict[type, Callable[[Any], str]] = {
            m.Accept: lambda a: f"{self.request(a.request)} {self.put(a.put)}",
            m.Ack: lambda a: f"{self.request(a.request)} {self.dot(a.dot)}",
            m.Named: self._named,
            m.Declined: lambda d: f"{self.request(d.request)} {self.outcome(d.outcome)}",
            m.Replicate: lambda r: f"{self.request(r.request)} {r.key}={self.item(r.item)}",
            m.Fetch: lambda f: f"{self.request(f.request)} {f.key}",
            m.State: self._state,
            m.CountKeys: lambda c: self.request(c.request),
            m.KeyCount: lambda c: f"{self.request(c.request)} {c.keys}",
            m.Compare: self._compare,
            m.Pull: self._pull,
            m.Page: self._page,
            m.Beat: lambda b: self.node(b.node_id),
            m.News: lambda n: f"lives {self.lives(n.lives)} stable {self.vector(n.stable)}",
        }

    # ---- names
    def name_actor(self, actor: str, node_id: str, name: str) -> None:
        self._actors[actor] = self._nodes[node_id] = name

    def name_key(self, key: str) -> None:
        for lww in (False, True):
            self._keys[digest_of(key, lww)] = key

    def name_request(self, number: int, name: str) -> None:
        self._requests[number] = name

    def request(self, number: int) -> str:
        return self._requests[number]

    def node(self, node_id: str) -> str:
        return self._nodes[node_id]

    def dot(self, dot: Dot) -> str:
        return f"{self._actors[dot[0]]}:{dot[1]}"

    # ---- values
    def vector(self, vector: Vector) -> str:
        """Every actor's number; «all» of an ended life that no token need name any more."""
        entries = sorted((self._actors[actor], n) for actor, n in vector.items())
        return _braces(f"{actor}:{'all' if n == COUNT_MAX else n}" for actor, n in entries)

    def clock(self, clock: Clock) -> str:
        """`a1:3+5` has 1 to 3, and 5."""
        entries = []
        for actor in {**clock.base, **clock.loose}:
            loose = "".join(f"+{n}" for n in sorted(clock.loose.get(actor, ())))
            entries.append(f"{self._actors[actor]}:{clock.base.get(actor, 0)}{loose}")
        return _braces(sorted(entries))

    def past(self, past: Past) -> str:
        loose = " ".join(f"+{dot}" for dot in sorted(map(self.dot, past.loose)))
        return f"{self.vector(past.base)}{loose and ' '}{loose}"

    def token(self, token: Token) -> str:
        """`a1:3 of x` is an exact dot, `a1 up to 2` a floor."""
        exact = [f"{self.dot(dot)} of {self._keys[tag]}" for dot, tag in token.exact.items()]
        floors = [f"{self._actors[actor]} up to {n}" for actor, n in token.floor.items()]
        return _braces(sorted(exact) + sorted(floors), ", ")

    def item(self, item: Item) -> str:
        versions = sorted((self.dot(d), self._version(v)) for d, v in item.versions.items())
        body = _braces((f"{dot} {words}" for dot, words in versions), ", ")
        return f"{body} past {self.past(item.past)}" if item.past else body

    def _version(self, version: Version) -> str:
        value = "deleted" if version.value is None else f'"{version.value.decode()}"'
        return f"{value} after {self.token(version.deps)}" if version.deps else value

    def lives(self, lives: dict[str, dict[str, int]]) -> str:
        names = sorted(self.node(node_id) for ids in lives.values() for node_id in ids)
        return _braces(names)

    def put(self, put: m.Put) -> str:
        value = "delete" if put.value is None else f'"{put.value.decode()}"'
        parts = [f"{put.key} {value}"]
        parts += [f"context {self.past(put.context)}"] if put.context else []
        parts += [f"token {self.token(put.token)}"] if put.token else []
        parts += [put.level] if put.level != m.AVAILABLE else []
        return " ".join(parts)

    # ---- messages
    def message(self, message: m.Message) -> str:
        words = self._message_words[type(message)](message)
        return f"{type(message).__name__} {words}".rstrip()

    def kind(self, message: m.Message) -> str:
        """The short form, for who has read the long one when it was sent."""
        number = getattr(message, "request", None)
        return type(message).__name__ + (f" {self.request(number)}" if number else "")

    def _named(self, n: m.Named) -> str:
        replaced = " replaced a value" if n.replaced else ""
        return f"{self.request(n.request)} {self.dot(n.dot)} token {self.token(n.token)}{replaced}"

    def _state(self, s: m.State) -> str:
        arrived = "" if s.arrived else " arriving"
        return f"{self.request(s.request)} {self.item(s.item)} clock {self.clock(s.clock)}{arrived}"

    def _actor_list(self, title: str, actors: Iterable[str]) -> str:
        names = [self._actors[actor] for actor in actors]
        return f" {title} {' '.join(names)}" if names else ""

    def _compare(self, c: m.Compare) -> str:
        state = ("" if c.arrived else " arriving") + (" answer, please" if c.answer else "")
        lists = self._actor_list("ended", c.ended) + self._actor_list("closed", c.closed)
        return f"{self.node(c.node_id)} has {self.clock(c.clock)}{lists}{state}"

    def _pull(self, p: m.Pull) -> str:
        after = "" if p.after is None else f" after {p.after or 'the start'}"
        snapshot = "" if p.snapshot is None else f" of {self.clock(p.snapshot)}"
        return f"{self.node(p.node_id)} has {self.clock(p.clock)}{snapshot}{after}"

    def _page(self, p: m.Page) -> str:
        dots = (f"{self.dot(dot)} of {key}" for dot, key in p.dots.items())
        items = _braces((f"{key}={self.item(i)}" for key, i in p.items.items()), ", ")
        what = "all rows" if p.full else f"dots {_braces(sorted(dots), ', ')}"
        end = " last" if p.last else ""
        snapshot = self.clock(p.snapshot)
        return f"{what} items {items} of {snapshot}{end}{'' if p.arrived else ' arriving'}"

    # ---- outcomes
    def outcome(self, outcome: m.Outcome) -> str:
        match outcome:
            case m.Stored():
                of = f"{outcome.acks} of {outcome.copies}, home {outcome.home}"
                return f"Stored {self.dot(outcome.dot)} on {of}; token {self.token(outcome.token)}"
            case m.Found():
                values = ", ".join(f'"{value.decode()}"' for value in outcome.values)
                return f"Found {values} at {outcome.served_by}; token {self.token(outcome.token)}"
            case m.Absent():
                return f"Absent at {outcome.served_by}; token {self.token(outcome.token)}"
            case m.Unmet():
                lines = (
                    f"{self._actors[a]} has {have}, needs {need}"
                    for a, (have, need) in outcome.missing.items()
                )
                return f"Unmet: {'; '.join(sorted(lines))}"
            case m.Unavailable():
                certain = "certainly not done" if outcome.definite else "nobody knows"
                return f"Unavailable ({certain}): {outcome.reason}"
            case m.Counted():
                return f"Counted {outcome.keys}"

    # ---- rows
    def records(self, records: Iterable[Record]) -> str:
        return "; ".join(self._record(record) for record in records)

    def _record(self, record: Record) -> str:
        table, key, value, is_open = record
        if table == "item":
            row = self.item(ITEMS.decode(value)) if value else "nothing"
            return f"item {key_of(key)}={row}{' open' if is_open else ''}"
        if table == "log":
            actor, _, n = key.rpartition("/")
            dot = self.dot((actor, int(n, 16)))
            return f"log {dot} of {value.decode()}" if value else f"log {dot} gone"
        return f"{key}{self._meta(key, value or b'')}"

    def _meta(self, key: str, value: bytes) -> str:
        if key == "clock":
            return f" {self.clock(CLOCKS.decode(value))}"
        if key == "lives":
            return f" {self.lives(msgspec.msgpack.decode(value))}"
        return f" {self.node(value.decode())}" if key == "node" else ""


def _braces(words: Iterable[str], between: str = " ") -> str:
    return "{" + between.join(words) + "}"
