"""The past runs of nodes, so that clocks stay short however often a node is started.

Every run of a node that has named a write is an entry of each clock.  When a run is over its node
declares it: the run, and its last number.  Declared runs of one node in one view form a chain, and
each link of it has a name, a *head*, made of all links up to it.  Where a vector has all of a
chain's first runs, a message says their head in place of them.  The receiver puts the entries back;
it asks for the chain when it does not know the head.  The name is made of what it stands for, so a
head means the same at every node, whatever disks have been put back or copied.

    chain of a1:   (a1 run x, 5)  (a1 run y, 2)      heads:  h1 of the first, h2 of both
    in memory      {x: 5, y: 2, z: 3, b1: 9}         z is the present run of a1
    in a message   {h2: 2, z: 3, b1: 9}
    lacks one:     {x: 5, y: 1}  ->  {h1: 1, y: 1}

(protocol D1, D3.)
"""

import base64
from collections.abc import Callable, Collection, Iterable, Iterator
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from node.core.model.actors import HEAD, Actor, incarnation_of, short_of, view_of
from node.core.model.dots import DotClock, Vector, join_vectors
from node.core.model.item import Item, Past
from node.core.model.token import Token
from node.core.model.view import ViewId
from node.core.protocol import messages as m
from node.core.protocol.frame import Frame
from node.core.protocol.hints import HandOver, Hint
from node.core.protocol.inspection import ClocksTold, Inspected
from node.core.protocol.step import Step
from node.core.protocol.watching import ChangePage, FetchChanges
from node.core.storage.row_scan import RowReads

FLOORS_MAX = 8  # of a token that names each run by itself
SAVED = msgspec.msgpack.Decoder(list[list[tuple[Actor, int]]])

ChainLinks = list[tuple[Actor, int]]
Sent = list[tuple[str, m.Message]]
encode = msgspec.msgpack.encode


class UnknownRuns(Exception):
    """A message names a head of a chain that this node does not know."""


class Chain:
    """Declared runs of one incarnation, in the order in which they were declared; `heads` names
    each link by itself and all before it."""

    def __init__(self, links: ChainLinks) -> None:
        self.links = links
        self.heads: list[Actor] = []
        short, (_, _, view) = short_of(links[0][0]), links[0][0].partition(".")
        name = b""
        for link in links:
            name = blake2b(name + encode(link), digest_size=6).digest()
            self.heads.append(f"{short}{HEAD}{base64.urlsafe_b64encode(name).decode()}.{view}")

    def said_by(self, vector: Vector, loose: Collection[Actor]) -> Iterator[Actor]:
        """The first runs, as far as the vector has just what was declared of them."""
        for actor, n in self.links:
            if vector.get(actor) != n or actor in loose:
                return
            yield actor

    @property
    def incarnation(self) -> Actor:
        return incarnation_of(self.links[0][0])


class PastRuns:
    """All chains that this node knows, its own among them."""

    def __init__(self, rows: RowReads, step: Step) -> None:
        self._step = step
        self._chains: list[Chain] = []
        self._places: dict[Actor, tuple[Chain, int]] = {}  # head -> its chain, and how many links
        saved = rows.read("meta", "runs")
        for links in SAVED.decode(saved) if saved else []:
            self._add(Chain(links))

    def __bool__(self) -> bool:
        return bool(self._chains)

    def known(self) -> list[ChainLinks]:
        """All chains, for a node that asks."""
        return [chain.links for chain in self._chains]

    def merge(self, chains: Iterable[ChainLinks]) -> None:
        """Take over chains, also those of views that are retired here: a node that has not heard of
        that yet may still name them.  They go with the next view that is retired."""
        told = [Chain(links) for links in chains if links]
        fresh = [chain for chain in told if chain.heads[-1] not in self._places]
        for chain in fresh:
            self._add(chain)
        if fresh:
            self._save()

    def _add(self, chain: Chain) -> None:
        """Add a chain, in place of those that it continues."""
        longer = set(chain.heads)
        self._chains = [each for each in self._chains if each.heads[-1] not in longer]
        self._chains.append(chain)
        self._places.update((head, (chain, i + 1)) for i, head in enumerate(chain.heads))

    def declare(self, incarnation: Actor, ended: Vector) -> None:
        """Declare runs of this node's incarnation with their last numbers; it has all of their
        writes."""
        mine = [chain.links for chain in self._chains if chain.incarnation == incarnation]
        links = max(mine, key=len, default=[])
        declared = {actor for actor, _ in links}
        fresh = [(actor, n) for actor, n in sorted(ended.items()) if actor not in declared]
        if fresh:
            self._add(Chain([*links, *fresh]))
            self._save()

    def retire(self, oldest_view: ViewId) -> None:
        """Drop the chains of views below the oldest view."""
        kept = [chain for chain in self._chains if view_of(chain.incarnation) >= oldest_view]
        if len(kept) < len(self._chains):
            self._chains = kept
            places = self._places.items()
            self._places = {head: place for head, place in places if view_of(head) >= oldest_view}
            self._save()

    def _save(self) -> None:
        self._step.record("meta", "runs", encode(self.known()))

    # ---- vectors
    def pack(self, vector: Vector, loose: Collection[Actor] = ()) -> Vector:
        """The vector with heads in place of the runs that it has all of.  `loose` are actors with
        loose dots, which no head may stand for."""
        for chain in self._chains:
            said = list(chain.said_by(vector, loose))
            if said:
                rest = vector.keys() - said
                vector = {actor: n for actor, n in vector.items() if actor in rest}
                vector[chain.heads[len(said) - 1]] = len(said)
        return vector

    def unpack(self, vector: Vector, loose: Collection[Actor] = ()) -> Vector:
        """The vector with the runs that its heads stand for.  Raises UnknownRuns.  Like `pack` it
        is told what is loose; for a head that does not matter."""
        for actor in vector:
            if HEAD in actor:
                return self._without_heads(vector)
        return vector  # nearly always

    def _without_heads(self, vector: Vector) -> Vector:
        heads = [actor for actor in vector if HEAD in actor]
        whole = {actor: n for actor, n in vector.items() if HEAD not in actor}
        for head in heads:
            if head not in self._places:
                raise UnknownRuns(head)
            chain, links = self._places[head]
            whole = join_vectors(whole, dict(chain.links[:links]))
        return whole

    # ---- contexts
    def pack_past(self, past: Past) -> Past:
        """What a client has seen of a key, as it is given out."""
        return _past(past, self.pack)

    def unpack_past(self, past: Past) -> Past:
        """What a client has seen of a key, as it comes back.  Raises UnknownRuns."""
        return _past(past, self.unpack)

    # ---- tokens
    def spelled(self, token: Token) -> Token:
        """The token with floors for the runs that its heads stand for; unknown heads stay, and no
        clock covers them."""
        if not token.floor:  # nearly always
            return token
        heads = [actor for actor in token.floor if actor in self._places]
        if not heads:
            return token
        known = {head: token.floor[head] for head in heads}
        rest = {actor: n for actor, n in token.floor.items() if actor not in known}
        return replace(token, floor=join_vectors(rest, self.unpack(known)))

    def folded(self, token: Token) -> Token:
        """The token with heads in place of the floors of past runs, where there are many floors: it
        then depends on all that these runs wrote, which is more."""
        if len(token.floor) <= FLOORS_MAX:
            return token
        floor = dict(token.floor)
        for chain in self._chains:
            links = enumerate(chain.links)
            places = [i for i, (actor, n) in links if 0 < floor.get(actor, 0) <= n]
            if len(places) > 1:
                for i in places:
                    del floor[chain.links[i][0]]
                floor[chain.heads[places[-1]]] = places[-1] + 1
        return replace(token, floor=floor)

    def unknown_in(self, token: Token) -> bool:
        """Whether the token has a head that is not known here."""
        return any(HEAD in actor and actor not in self._places for actor in token.floor)

    # ---- messages
    def sent(self, messages: Sent, own: str) -> Sent:
        """The messages as they travel to other nodes: one to several peers stays one."""
        packed: dict[int, m.Message] = {}
        for peer, message in messages:
            if peer != own and id(message) not in packed:
                change = CARRIERS.get(type(message))
                packed[id(message)] = change(message, self.pack) if change else message
        return [(p, message if p == own else packed[id(message)]) for p, message in messages]

    def received(self, message: m.Message) -> m.Message:
        """The message with all runs that its heads stand for.  Raises UnknownRuns."""
        change = CARRIERS.get(type(message))
        return change(message, self.unpack) if change else message


# ------------------------------------------------------------------ what carries vectors

# Each gives the thing itself where nothing in it changes, which is the rule.
Change = Callable[..., Vector]
Itemed = m.Replicate | m.ReadRepair | Hint | HandOver
M = TypeVar("M", bound=Frame)


def _clock(clock: DotClock, change: Change) -> DotClock:
    base = change(clock.base, clock.loose)
    return clock if base is clock.base else DotClock(base, clock.loose, clock.oldest_view)


def _past(past: Past, change: Change) -> Past:
    base = change(past.base)
    return past if base is past.base else Past(base, past.loose, past.oldest_view, past.namings)


def _item(item: Item, change: Change) -> Item:
    past = _past(item.past, change)
    return item if past is item.past else Item(item.versions, past)


def _with(message: M, **parts: Any) -> M:
    """The message with these parts, if one of them is another than it has."""
    for name, part in parts.items():
        if getattr(message, name) is not part:
            return replace(message, **parts)
    return message


def _of_compare(c: m.Compare, change: Change) -> m.Compare:
    clocks = [_clock(holding.clock, change) for holding in c.summaries]
    if all(clock is holding.clock for clock, holding in zip(clocks, c.summaries, strict=True)):
        return c
    summaries = [replace(h, clock=clock) for clock, h in zip(clocks, c.summaries, strict=True)]
    return replace(c, summaries=summaries)


def _of_pull(p: m.Pull, change: Change) -> m.Pull:
    snapshot = p.snapshot and _clock(p.snapshot, change)
    return _with(p, clock=_clock(p.clock, change), snapshot=snapshot)


def _of_items(p: m.ItemPage | m.RowPage, change: Change) -> m.Page:
    items = {key: _item(item, change) for key, item in p.items.items()}
    if all(item is p.items[key] for key, item in items.items()):
        items = p.items
    return _with(p, snapshot=_clock(p.snapshot, change), base=_past(p.base, change), items=items)


def _of_dots(p: m.SamePage, change: Change) -> m.Page:
    return _with(p, snapshot=_clock(p.snapshot, change))


def _of_state(s: m.State, change: Change) -> m.State:
    item, clock = _item(s.item, change), _clock(s.clock, change)
    return s if item is s.item and clock is s.clock else replace(s, item=item, clock=clock)


def _of_fetch_changes(f: FetchChanges, change: Change) -> m.Message:
    return _with(f, clock=f.clock and _clock(f.clock, change))


def _of_changes(p: ChangePage, change: Change) -> m.Message:
    items = {key: _item(item, change) for key, item in p.items.items()}
    upto = p.upto and _clock(p.upto, change)
    return replace(p, clock=_clock(p.clock, change), upto=upto, items=items)


def _of_item(message: Itemed, change: Change) -> m.Message:
    item = _item(message.item, change)
    return message if item is message.item else replace(message, item=item)


def _of_inspected(i: Inspected, change: Change) -> m.Message:
    past, clock = _past(i.report.past, change), _clock(i.report.clock, change)
    return replace(i, report=replace(i.report, past=past, clock=clock))


def _of_clocks_told(c: ClocksTold, change: Change) -> m.Message:
    floor = change(c.token.floor)
    return c if floor is c.token.floor else replace(c, token=replace(c.token, floor=floor))


def _of_written(n: m.Written, change: Change) -> m.Written:
    context = _past(n.context, change)
    return n if context is n.context else replace(n, context=context)


def _of_accept(a: m.Accept, change: Change) -> m.Accept:
    context = _past(a.put.context, change)
    return a if context is a.put.context else replace(a, put=replace(a.put, context=context))


def _of_gossip(n: m.Gossip, change: Change) -> m.Gossip:
    return _with(n, cluster_watermark=change(n.cluster_watermark))


def _of_views(v: m.Views, change: Change) -> m.Views:
    return _with(v, gossip=_of_gossip(v.gossip, change))


CARRIERS: dict[type, Callable[..., m.Message]] = {
    m.Compare: _of_compare,
    m.Pull: _of_pull,
    m.ItemPage: _of_items,
    m.SamePage: _of_dots,
    m.RowPage: _of_items,
    m.State: _of_state,
    m.Replicate: _of_item,
    m.ReadRepair: _of_item,
    Hint: _of_item,
    HandOver: _of_item,
    Inspected: _of_inspected,
    FetchChanges: _of_fetch_changes,
    ChangePage: _of_changes,
    ClocksTold: _of_clocks_told,
    m.Written: _of_written,
    m.Accept: _of_accept,
    m.Gossip: _of_gossip,
    m.Views: _of_views,
}
