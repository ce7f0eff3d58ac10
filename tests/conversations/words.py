"""How a conversation spells what it shows: short, whole, and the same on every run.

Actors are called by their node, with a prime for each lost disk (a1, a1') and, behind an @, the
view they write in, if it is not the first; views by their number, and by their proposer where there
are two of a number (2.b1); requests by what they are (w1 a write, r1 a read, n1 a count, v1 another
view).  A letter of another view than the first shows its stamp, «@2», or «@2/1» while the floor is
still 1; so do clocks that have a floor («below 2»).  Slots are counted («2048 slots»), and left out
where a node's slots are all alike and of the first view.  Time stamps, sizes and numbers of
exchanges are left out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from node.core import messages as m
from node.core.clock import Clock, Dot, Vector
from node.core.keyspace import ITEMS
from node.core.parts import from_bytes, to_bytes
from node.core.replica import Replica
from node.core.siblings import Item, Past, Version
from node.core.token import COUNT_MAX, Token
from node.core.view import FIRST, View, ViewId, actor_of, digest_of, short_name, view_of
from node.core.walk import key_of

LONG_BYTES = 40


class Words:
    """The names of one conversation."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._short: dict[str, str] = {}
        self._numbers: dict[int, ViewId] = {}  # the view that is called by its number alone
        self._keys: dict[int, str] = {}
        self._requests: dict[int, str] = {}
        self._rot: dict[int, str] = {}
        self._is_first = True  # the view of the letter in hand
        self._message_words: dict[type, Callable[[Any], str]] = {
            m.Accept: lambda a: f"{self.request(a.request)} {self.put(a.put)}",
            m.Ack: lambda a: f"{self.request(a.request)} {self.dot(a.dot)}",
            m.Named: self._named,
            m.Declined: lambda d: f"{self.request(d.request)} {self.outcome(d.outcome)}",
            m.Replicate: lambda r: f"{self.request(r.request)} {r.key}={self.item(r.item)}",
            m.Fetch: lambda f: f"{self.request(f.request)} {f.key}",
            m.State: self._state,
            m.Mend: lambda n: f"{n.key}={self.item(n.item)}",
            m.CountKeys: lambda c: self.request(c.request),
            m.KeyCount: lambda c: f"{self.request(c.request)} {c.keys}",
            m.Compare: self._compare,
            m.Pull: self._pull,
            m.Page: self._page,
            m.Beat: self._beat,
            m.News: self._news,
            m.Views: self._views,
            m.Elsewhere: lambda e: self.request(e.request),
            m.Unsure: lambda u: self.request(u.request),
            m.Join: lambda j: j.address,
            m.Wish: lambda w: self.request(w.request),
            m.Granted: lambda g: f"{self.request(g.request)} {self.layout(g.view)}",
        }

    # ---- names
    def name_node(self, node_id: str, name: str) -> None:
        self._nodes[node_id] = self._short[short_name(node_id)] = name

    def actor(self, actor: str) -> str:
        short = actor.partition(".")[0]
        view, name = view_of(actor), self._short.get(short, short)  # a client may name anybody
        return name if view == FIRST else f"{name}@{self.view(view)}"

    def actor_at(self, name: str) -> str:
        """The actor of a node's life in the first view; of nobody, the name itself."""
        ids = (node_id for node_id, known in self._nodes.items() if known == name)
        return next((actor_of(FIRST, node_id) for node_id in ids), name)

    def view(self, view: ViewId) -> str:
        """The first one that is heard of is called by its number alone."""
        if self._numbers.setdefault(view.number, view) == view:
            return str(view.number)
        return f"{view.number}.{self._proposer(view)}"

    def _proposer(self, view: ViewId) -> str:
        return next(name for short, name in self._short.items() if short.startswith(view.proposer))

    def views_of(self, views: Iterable[ViewId]) -> str:
        return _braces(self.view(view) for view in sorted(views))

    def name_key(self, key: str) -> None:
        for lww in (False, True):
            self._keys[digest_of(key, lww)] = key

    def name_request(self, number: int, name: str) -> None:
        self._requests[number] = name

    def request(self, number: int) -> str:
        """A node's own question for a damaged row has a number below 0."""
        if number < 0:
            self._rot.setdefault(number, f"rot{len(self._rot) + 1}")
            return self._rot[number]
        return self._requests[number]

    def node(self, node_id: str) -> str:
        return self._nodes[node_id]

    def dot(self, dot: Dot) -> str:
        return f"{self.actor(dot[0])}:{dot[1]}"

    # ---- values
    def vector(self, vector: Vector) -> str:
        """Every actor's number; «all» of an ended life that no token need name any more."""
        entries = sorted((self.actor(actor), n) for actor, n in vector.items())
        return _braces(f"{actor}:{'all' if n == COUNT_MAX else n}" for actor, n in entries)

    def clock(self, clock: Clock) -> str:
        """`a1:3+5` has 1 to 3, and 5; `below 2` is whatever older views wrote."""
        entries = []
        for actor in {**clock.base, **clock.loose}:
            loose = "".join(f"+{n}" for n in sorted(clock.loose.get(actor, ())))
            entries.append(f"{self.actor(actor)}:{clock.base.get(actor, 0)}{loose}")
        return _braces(self._below(clock.floor) + sorted(entries))

    def _below(self, floor: ViewId) -> list[str]:
        return [f"below {self.view(floor)}"] if floor > FIRST else []

    def past(self, past: Past) -> str:
        loose = " ".join(f"+{dot}" for dot in sorted(map(self.dot, past.loose)))
        below = "".join(f" {words}" for words in self._below(past.floor))
        return f"{self.vector(past.base)}{loose and ' '}{loose}{below}"

    def token(self, token: Token) -> str:
        """`a1:3 of x` is an exact dot, `a1 up to 2` a floor."""
        exact = [f"{self.dot(dot)} of {self._keys[tag]}" for dot, tag in token.exact.items()]
        floors = [f"{self.actor(actor)} up to {n}" for actor, n in token.floor.items()]
        met = f" met {self.view(token.view)}" if token.view > FIRST else ""
        return _braces(sorted(exact) + sorted(floors), ", ") + met

    def item(self, item: Item) -> str:
        versions = sorted((self.dot(d), self._version(v)) for d, v in item.versions.items())
        body = _braces((f"{dot} {words}" for dot, words in versions), ", ")
        return f"{body} past {self.past(item.past)}" if item.past else body

    def _version(self, version: Version) -> str:
        value = "deleted" if version.value is None else _text(version.value)
        value += f" clock {self.vector(version.clock)}" if version.clock else ""
        return f"{value} after {self.token(version.deps)}" if version.deps else value

    def lives(self, lives: dict[str, dict[str, int]]) -> str:
        names = sorted(self.node(node_id) for ids in lives.values() for node_id in ids)
        return _braces(names)

    def put(self, put: m.Put) -> str:
        value = "delete" if put.value is None else _text(put.value)
        parts = [f"{put.key} {value}"]
        parts += [f"context {self.past(put.context)}"] if put.context else []
        parts += [f"token {self.token(put.token)}"] if put.token else []
        parts += [put.level] if put.level != m.AVAILABLE else []
        parts += ["clocked"] if put.clocked else []
        return " ".join(parts)

    def slots(self, packed: bytes) -> str:
        return f"{from_bytes(packed).bit_count()} slots"

    # ---- messages
    def letter(self, letter: m.Letter) -> str:
        message, stamp = letter.message, letter.stamp
        self._is_first = stamp.view == FIRST
        words = self._message_words[type(message)](message)
        return f"{type(message).__name__} {words}".rstrip() + self._stamp(stamp)

    def _stamp(self, stamp: m.Stamp) -> str:
        if stamp.view == FIRST:
            return ""
        floor = f"/{self.view(stamp.floor)}" if stamp.floor != stamp.view else ""
        return f" @{self.view(stamp.view)}{floor}"

    def kind(self, message: m.Message) -> str:
        """The short form, for who has read the long one when it was sent."""
        number = getattr(message, "request", None)
        return type(message).__name__ + (f" {self.request(number)}" if number else "")

    def _named(self, n: m.Named) -> str:
        replaced = " replaced a value" if n.replaced else ""
        return f"{self.request(n.request)} {self.dot(n.dot)} token {self.token(n.token)}{replaced}"

    def _state(self, s: m.State) -> str:
        item, clock = self.item(s.item), self.clock(s.clock)
        return f"{self.request(s.request)} {item} clock {clock}{self._claims(s.claims)}"

    def _claims(self, claims: Iterable[ViewId]) -> str:
        """What a store is whole for; of the first view nothing is said, but «arriving»."""
        views = set(claims)
        if not views:
            return " arriving"
        return f" whole {self.views_of(views)}" if views != {FIRST} else ""

    def holding(self, slots: bytes, clock: Clock, claims: list[ViewId], alone: bool) -> str:
        counted = "" if alone and set(claims) <= {FIRST} else f"{self.slots(slots)} "
        return f"{counted}{self.clock(clock)}{self._claims(claims)}"

    def _beat(self, b: m.Beat) -> str:
        lacking = f" lacking {b.lacking}" if b.lacking else ""
        leaving = f" leaving {b.leaving}" if b.leaving else ""
        return f"{self.node(b.node_id)}{lacking}{leaving}"

    def _news(self, n: m.News) -> str:
        news = f"lives {self.lives(n.lives)} stable {self.vector(n.stable)}"
        return f"{news}{self.reports(n.reports)}{self._lost(n.lost)}"

    def reports(self, reports: dict[str, ViewId]) -> str:
        entries = {self.node(node_id): self.view(view) for node_id, view in reports.items()}
        words = _braces(f"{name}:{view}" for name, view in sorted(entries.items()))
        return f" reports {words}" if reports else ""

    def _lost(self, lost: Iterable[str]) -> str:
        """Node ids, or addresses of nodes that were never heard of."""
        words = _braces(sorted(self._nodes.get(node_id, node_id) for node_id in lost))
        return f" lost {words}" if words != "{}" else ""

    def _views(self, v: m.Views) -> str:
        views = self.views_of(view.id for view in v.views)
        return f"{views} floor {self.view(v.floor)}{self._lost(v.news.lost)}"

    def _actor_list(self, title: str, actors: Iterable[str]) -> str:
        names = [self.actor(actor) for actor in actors]
        return f" {title} {' '.join(names)}" if names else ""

    def _compare(self, c: m.Compare) -> str:
        alone = len(c.holdings) == 1
        has = [self.holding(h.slots, h.clock, h.claims, alone) for h in c.holdings]
        lists = self._actor_list("ended", c.ended) + self._actor_list("closed", c.closed)
        answer = " answer, please" if c.answer else ""
        return f"{self.node(c.node_id)} has {', '.join(has) or 'nothing'}{lists}{answer}"

    def _pull(self, p: m.Pull) -> str:
        after = "" if p.after is None else f" after {p.after or 'the start'}"
        snapshot = "" if p.snapshot is None else f" of {self.clock(p.snapshot)}"
        slots = "" if self._is_first else f" of {self.slots(p.slots)}"
        return f"{self.node(p.node_id)}{slots} has {self.clock(p.clock)}{snapshot}{after}"

    def _page(self, p: m.Page) -> str:
        dots = (f"{self.dot(dot)} of {key or 'no slot of these'}" for dot, key in p.dots.items())
        rows = {key_of(row): ITEMS.decode(blob) for row, blob in p.rows.items()}
        both = {**p.items, **rows}
        items = _braces((f"{key}={self.item(i)}" for key, i in both.items()), ", ")
        what = "all rows" if p.full else f"dots {_braces(sorted(dots), ', ')}"
        slots = "" if self._is_first else f" of {self.slots(p.slots)}"
        end = " last" if p.last else ""
        return (
            f"{what}{slots} items {items} of {self.clock(p.snapshot)}{end}{self._claims(p.claims)}"
        )

    # ---- outcomes
    def outcome(self, outcome: m.Outcome) -> str:
        match outcome:
            case m.Stored():
                of = f"{outcome.acks} of {outcome.copies}, home {outcome.home}"
                of += f"; clock {self.vector(outcome.clock)}" if outcome.clock else ""
                return f"Stored {self.dot(outcome.dot)} on {of}; token {self.token(outcome.token)}"
            case m.Found():
                values = ", ".join(map(_text, outcome.values))
                return f"Found {values} at {outcome.served_by}; token {self.token(outcome.token)}"
            case m.Absent():
                return f"Absent at {outcome.served_by}; token {self.token(outcome.token)}"
            case m.Unmet():
                lines = (
                    f"{self._entry(entry)} has {have}, needs {need}"
                    for entry, (have, need) in outcome.missing.items()
                )
                return f"Unmet: {'; '.join(sorted(lines))}"
            case m.Unavailable():
                certain = "certainly not done" if outcome.definite else "nobody knows"
                return f"Unavailable ({certain}): {outcome.reason}"
            case m.Counted():
                return f"Counted {outcome.keys}"
            case m.Adopted():
                return f"Adopted {self.layout(outcome.view)}"
            case m.Outdated():
                return f"Outdated: {self.layout(outcome.view)}"
            case m.Listed():
                listed = _braces(sorted(outcome.items))
                return f"Listed {outcome.shard} {listed}; token {self.token(outcome.token)}"
            case m.Forgotten() | m.Looked():
                return type(outcome).__name__

    def _entry(self, entry: str) -> str:
        """What a token names: an actor, or a view."""
        return entry if entry.startswith("view.") else self.actor(entry)

    def layout(self, view: View) -> str:
        """`view 2: s1 a1 a2 2048 slots; ..`, and who is in no shard."""
        shards = [
            f"{shard.id} {' '.join(shard.members)} {view.slots_of_shard(i).bit_count()} slots"
            for i, shard in enumerate(view.shards)
        ]
        spare = [node for node in view.nodes if view.shard_with(node) is None]
        shards += [f"no shard {' '.join(spare)}"] if spare else []
        return f"view {self.view(view.id)}: {'; '.join(shards)}"

    def place(self, replica: Replica) -> Iterator[str]:
        """View and slots, where they are not those of a settled first view."""
        history, parts = replica.moving.history, list(replica.keyspace.parts)
        if replica.view.id == FIRST and len(parts) <= 1:
            return
        floor = "" if history.settled else f", floor {self.view(history.floor)}"
        yield f"view {self.view(replica.view.id)}{floor}"
        for part in parts:
            role = "owns" if part.owned else "holds"
            held = self.holding(to_bytes(part.slots), part.clock, sorted(part.whole), alone=False)
            yield f"{role} {held}"


def _text(value: bytes) -> str:
    """A value, unless it is long."""
    return f'"{value.decode()}"' if len(value) <= LONG_BYTES else f"{len(value)} bytes"


def _braces(words: Iterable[str], between: str = " ") -> str:
    return "{" + between.join(words) + "}"
