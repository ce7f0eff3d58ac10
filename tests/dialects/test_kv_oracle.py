"""Clients who read, write and delete one key at any of three replicas see what the set oracle says.

The oracle has two sets of writes for each replica: those that it has seen, and those of them that
nothing has replaced.  The handlers and the cores are those of the product.  What a replica tells
another one arrives at once or later, in any order.
"""

from typing import Any

import orjson
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from node.api.contract import Ask, Call, Facts, Reply
from node.api.native.key_values import key_values
from node.core.model.actors import short_name
from node.core.model.placement import first_view
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Outcome
from tests.core.one import NOW, One
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import LIMITS
from tests.dialects.nodes import NODES, facts_at

TRIO = first_view(NODES[:3], 1)
ROUTES = handlers_of(key_values())
KEY = "doc"

Writes = frozenset[int]
NOTHING: Writes = frozenset()


class Oracle:
    """What one replica has seen of the key, and what lives there, as plain sets of writes."""

    def __init__(self, seen: Writes = NOTHING, live: Writes = NOTHING) -> None:
        self.seen, self.live = seen, live

    def write(self, number: int, replaced: Writes) -> None:
        self.live = (self.live - replaced) | {number}
        self.seen |= replaced | {number}

    def take(self, other: "Oracle") -> None:
        both, mine, theirs = self.live & other.live, self.live - other.seen, other.live - self.seen
        self.live = both | mine | theirs
        self.seen |= other.seen


class Replicas:
    """Three replicas with their oracles, and what is under way between them."""

    def __init__(self) -> None:
        self.ones = {node: One(node, TRIO) for node in TRIO.nodes}
        self.oracles = {node: Oracle() for node in TRIO.nodes}
        self.deletes, self.blind = NOTHING, NOTHING  # of all writes
        self.under_way: list[tuple[str, str, m.Replicate, Oracle]] = []
        self._requests = 0
        for one in self.ones.values():
            one.arrive()
        self._meet()

    def _meet(self) -> None:
        """Let all hear which incarnations there are, and under which name of the cluster."""
        for node, one in self.ones.items():
            known, name = one.replica.node_id, one.replica.keyspace.name
            said = m.Gossip({node: {known: 1}}, {}, names={short_name(known): name})
            for peer, other in self.ones.items():
                if peer != node:
                    other.step(node, said)

    def ask(self, node: str, method: str, value: bytes = b"", context: str | None = None) -> Reply:
        """Ask one node alone, and return its answer."""
        level = {"r": "one"} if method == "GET" else {"w": "one"}
        headers = {} if context is None else {"Kv-Context": context}
        if value:
            headers["Content-Type"] = "text/plain"
        call = Call(method, {"key": KEY}, level, headers, value, lambda: self._facts(node), LIMITS)
        said = ROUTES[method, "/v1/kv/{key}"](call)
        if isinstance(said, Reply):
            return said
        assert isinstance(said, Ask)
        self._requests += 1  # a later write has a later timestamp, wherever it is written
        one = self.ones[node]
        effects = one.submit(said.request, self._requests, self._now)
        [outcome] = self._carried_out(node, effects)
        return said.say(outcome)

    @property
    def _now(self) -> float:
        return NOW + self._requests

    def _facts(self, node: str) -> Facts:
        replica = self.ones[node].replica
        return replace(facts_at(node), view=replica.view, cluster=replica.keyspace.name)

    def _carried_out(self, node: str, effects: Effects) -> list[Outcome]:
        """Carry out a step: what it tells itself at once, what it tells others later."""
        outcomes = [outcome for _, outcome in (*effects.replies, *effects.relays)]
        for peer, message in (*effects.asks, *effects.tells):
            if peer == node:
                outcomes += self._carried_out(node, self.ones[node].step(node, message, self._now))
            elif isinstance(message, m.Replicate):
                at_home = self.oracles[node]
                sent = Oracle(at_home.seen, at_home.live)
                self.under_way.append((node, peer, message, sent))
        return outcomes

    def arrive(self, place: int) -> None:
        """Let one message arrive; the acknowledgement is of no interest here."""
        source, peer, message, sent = self.under_way.pop(place % len(self.under_way))
        self.ones[peer].step(source, message, self._now)
        self.oracles[peer].take(sent)

    def read(self, node: str) -> tuple[list[int], str]:
        """Read all values at one node, and return them with the context of the answer."""
        said = self.ask(node, "GET")
        context = said.headers["Kv-Context"]
        if said.status == 300:
            body = orjson.loads(said.body)
            assert body["context"] == context
            return sorted(int(sibling["value"]) for sibling in body["siblings"]), context
        assert said.status in (200, 404)
        return ([int(said.body)] if said.status == 200 else []), context

    def shown(self, node: str) -> Writes:
        """What a node shows: a delete without a context hides an earlier value without one, also
        where neither has seen the other."""
        live = self.oracles[node].live
        last = max(live & self.deletes & self.blind, default=0)
        return live - self.deletes - {n for n in live & self.blind if n < last}

    def check(self) -> None:
        for node in self.oracles:
            assert self.read(node)[0] == sorted(self.shown(node))


class Clients:
    """What they do, and what the oracle says of it."""

    def __init__(self) -> None:
        self.replicas = Replicas()
        self._contexts: list[tuple[str, Writes]] = [("none", NOTHING)]
        self._numbers = 0

    def step(self, what: str, node: str, place: int) -> None:
        replicas, oracle = self.replicas, self.replicas.oracles[node]
        if what == "arrive":
            if replicas.under_way:
                replicas.arrive(place)
        elif what == "read":
            self._contexts.append((replicas.read(node)[1], oracle.seen))
        elif what.endswith("blind"):
            self._write(what.split()[0], node, None, oracle.seen)
        else:
            context, seen = self._contexts[place % len(self._contexts)]
            self._write(what, node, context, seen)

    def _write(self, method: str, node: str, context: str | None, seen: Writes) -> None:
        replicas, oracle = self.replicas, self.replicas.oracles[node]
        self._numbers += 1
        number, is_put = self._numbers, method == "PUT"
        has_value = bool(replicas.shown(node))
        expected = (200 if has_value else 201) if is_put else (204 if has_value else 404)
        if not is_put and context is not None and not seen:
            expected = 400
        if expected < 300:
            oracle.write(number, seen)
            replicas.deletes |= NOTHING if is_put else {number}
            replicas.blind |= {number} if context is None else NOTHING
        said = replicas.ask(node, method, b"%d" % number if is_put else b"", context)
        assert said.status == expected, (said.status, said.body)
        if expected < 300:
            had = NOTHING if context is None else seen
            self._contexts.append((said.headers["Kv-Context"], had | {number}))


STEPS = ("PUT", "PUT", "PUT blind", "DELETE", "DELETE blind", "read", "read", "arrive", "arrive")
steps = st.tuples(st.sampled_from(STEPS), st.sampled_from(TRIO.nodes), st.integers(0, 30))


@settings(max_examples=1000)
@given(st.lists(steps, min_size=4, max_size=20))
def test_all_replicas_show_what_the_set_oracle_says(drawn: list[Any]) -> None:
    clients = Clients()
    for step in drawn:
        clients.step(*step)
        clients.replicas.check()
    while clients.replicas.under_way:
        clients.replicas.arrive(0)
    clients.replicas.check()
    assert len({tuple(clients.replicas.read(node)[0]) for node in TRIO.nodes}) == 1
