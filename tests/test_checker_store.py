"""The checker against a small store that is right by construction, and against broken ones.

The store keeps every write in one log; a replica is the set of writes that have reached it, in any
order.  A read first pulls what its token says of the key, and then what the versions depend on
within the key.  Otherwise a reader could see a write without an earlier one of the same writer.
Each `Bug` breaks one rule.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from time import perf_counter
from typing import Any

import pytest

from cluster.checker.check import check
from cluster.checker.history import Dot, History, Mode, Operation
from cluster.checker.violations import Final, FinalState

NODES = ("a", "b", "c")


class Bug(Enum):
    """A rule that the store breaks."""

    DROP_SIBLING = auto()
    IGNORE_TOKEN = auto()
    REPLACE_UNSEEN = auto()
    RESURRECT = auto()
    LOSE_WRITE = auto()
    REUSE_DOT = auto()
    WRITE_TWICE = auto()


@dataclass
class Write:
    """One version or delete mark; `covers` are the writes of its key it replaced."""

    dot: Dot
    key: str
    value: str | None
    covers: set[int]
    token: set[int]
    timestamp: tuple[int, str]


@dataclass
class Answer:
    """What a client keeps of an answer: the token, and the context of the key."""

    operation: int
    token: set[int]
    contexts: dict[str, tuple[int, set[int]]] = field(default_factory=dict)


class Store:
    """Three replicas of a causal store in one mode, and the clients that use it."""

    def __init__(self, mode: Mode, seed: int, bug: Bug | None = None, hot: int = 3) -> None:
        self.mode, self.bug, self.random = mode, bug, Random(seed)
        self.log: list[Write] = []
        self.known: dict[str, set[int]] = {node: set() for node in NODES}
        self.counter = dict.fromkeys(NODES, 0)
        self.clock = {node: self.random.randrange(20) for node in NODES}
        self.keys = [f"k{number}" for number in range(hot)]
        self.history = History()
        self.sessions = [Answer(-1, set()) for _ in range(4)]
        self.broken = 0
        self.of_key: dict[str, set[int]] = {key: set() for key in self.keys}

    def run(self, steps: int) -> None:
        for number in range(steps):
            self.step(number)
            self.gossip()
        for node in NODES:
            self.known[node] |= set().union(*self.known.values())

    def gossip(self) -> None:
        source, target = self.random.sample(NODES, 2)
        fresh = sorted(self.known[source] - self.known[target])
        for write in fresh:
            if self.random.random() < 0.3:
                self.known[target].add(write)

    def covered(self, writes: set[int]) -> set[int]:
        return set().union(*(self.log[each].covers for each in writes)) if writes else set()

    def state(self, node: str, key: str) -> list[int]:
        known = self.known[node] & self.of_key[key]
        return sorted(known - self.covered(known))

    def pull(self, node: str, key: str, token: set[int]) -> None:
        """Fetch what the token says of the key, and what the versions then held depend on."""
        reachable = self.of_key[key] & set().union(*self.known.values())
        needed = set(token)
        while self.bug is not Bug.IGNORE_TOKEN:
            self.known[node] |= needed & reachable
            needed = set().union(*(self.log[each].token for each in self.state(node, key)))
            if not needed & reachable - self.known[node]:
                return

    def step(self, number: int) -> None:
        index = self.random.randrange(len(self.sessions))
        session, node = self.sessions[index], self.random.choice(NODES)
        key, chance = self.random.choice(self.keys), self.random.random()
        parents = {session.operation}
        token, contexts = set(session.token), dict(session.contexts)
        if self.random.random() < 0.1:
            other = self.random.choice(self.sessions)
            parents.add(other.operation)
            token |= other.token
        kind: Any = "get" if chance < 0.55 else "put" if chance < 0.85 else "delete"
        operation = Operation(number, index, node, kind, key, self.mode, started=number)
        operation.parents = tuple(sorted(parents - {-1}))
        self.history.append(operation)
        reply = Answer(number, token, contexts)
        if kind == "get":
            self.read(operation, reply)
        else:
            self.write(operation, reply)
        operation.ended = number + 0.5
        if operation.status == "ok":
            self.sessions[index] = reply

    def read(self, operation: Operation, reply: Answer) -> None:
        node, key = operation.node, operation.key
        self.pull(node, key, reply.token)
        held = self.state(node, key)
        if self.bug is Bug.DROP_SIBLING and len(held) > 1 and self.random.random() < 0.3:
            held.pop(self.random.randrange(len(held)))
        operation.status = "ok"
        self.show(operation, held)
        for each in held:
            reply.token |= self.log[each].token | {each}
        known = self.known[node] & self.of_key[key]
        reply.contexts[key] = (operation.id, known | self.covered(known))

    def shown(self, held: list[int]) -> list[int]:
        if self.mode == "lww":
            held = [max(held, key=lambda each: self.log[each].timestamp)] if held else []
        return [each for each in held if self.log[each].value is not None]

    def show(self, operation: Operation, held: list[int]) -> None:
        everywhere = set.intersection(*self.known.values())
        erased = {each for each in held if each in everywhere and self.log[each].value is None}
        shown = self.shown(held)
        if self.mode == "lww" and held and not shown:
            erased |= (
                set(held) if max(held, key=lambda at: self.log[at].timestamp) in erased else set()
            )
        kept = [each for each in held if each not in erased]
        operation.values = tuple(str(self.log[each].value) for each in shown)
        operation.shown = tuple(self.log[each].dot for each in shown)
        operation.dots = tuple(self.log[each].dot for each in kept)
        operation.marks = tuple(self.log[at].dot for at in kept if self.log[at].value is None)

    def write(self, operation: Operation, reply: Answer) -> None:
        key, node, chance = operation.key, operation.node, self.random.random()
        if operation.kind == "put":
            operation.value = f"v{operation.id}"
        context: set[int] = set()
        if self.mode == "siblings" and key in reply.contexts and self.random.random() < 0.7:
            operation.context_of, context = reply.contexts[key]
        if chance < 0.05:
            operation.status = "fail"
            return
        if operation.kind == "delete" and self.random.random() < 0.5:
            self.pull(node, key, reply.token)
            if not self.shown(self.state(node, key)):
                self.read(operation, reply)
                return
        operation.status = "unknown" if chance < 0.15 else "ok"
        if chance < 0.1:
            return
        at = self.store(operation, context, reply.token)
        if operation.status == "ok":
            operation.dot = self.log[at].dot
            reply.contexts[key] = (operation.id, context | {at})
            reply.token.add(at)

    def store(self, operation: Operation, context: set[int], token: set[int]) -> int:
        node, key = operation.node, operation.key
        known = self.known[node] & self.of_key[key]
        covers = set(context)
        if self.mode == "lww" or self.bug is Bug.REPLACE_UNSEEN:
            covers = known | token & self.of_key[key]
            covers |= self.covered(covers)
        if self.bug is Bug.REUSE_DOT and self.counter[node] and self.random.random() < 0.2:
            self.counter[node] -= 1
        self.counter[node] += 1
        highest = max((self.log[each].timestamp[0] for each in token | covers), default=0)
        self.clock[node] = max(self.clock[node], highest) + 1
        dot, stamp = (node, self.counter[node]), (self.clock[node], node)
        self.add(node, Write(dot, key, operation.value, covers, set(token), stamp))
        at = len(self.log) - 1
        if self.bug is Bug.WRITE_TWICE and operation.value and self.random.random() < 0.2:
            self.counter[node] += 1
            dot = (node, self.counter[node])
            self.add(node, Write(dot, key, operation.value, set(covers), set(token), stamp))
        self.spoil(at, operation)
        return at

    def add(self, node: str, write: Write) -> None:
        self.log.append(write)
        self.of_key[write.key].add(len(self.log) - 1)
        self.known[node].add(len(self.log) - 1)

    def spoil(self, at: int, operation: Operation) -> None:
        if self.bug is Bug.RESURRECT and operation.kind == "delete":
            self.log[at].covers = set()
            if self.mode == "lww":
                self.known[operation.node].discard(at)
        lost = self.bug is Bug.LOSE_WRITE and operation.status == "ok" and operation.kind == "put"
        if lost and self.random.random() < 0.3:
            for node in NODES:
                self.known[node].discard(at)

    def final(self) -> Final:
        replicas: dict[str, dict[str, FinalState]] = {}
        for key in self.keys:
            shared = self.state("a", key)
            values = tuple(str(self.log[each].value) for each in self.shown(shared))
            live = [each for each in shared if self.log[each].value is not None] if values else []
            state = FinalState(values, tuple(self.log[each].dot for each in live), ())
            replicas[key] = dict.fromkeys(NODES, state)
        return Final(replicas)


def run(mode: Mode, seed: int, bug: Bug | None = None, steps: int = 120) -> Store:
    store = Store(mode, seed, bug)
    store.run(steps)
    return store


@pytest.mark.parametrize("mode", ["siblings", "lww"])
@pytest.mark.parametrize("by_context", [False, True])
def test_a_right_store_is_never_accused(mode: Mode, by_context: bool) -> None:
    for seed in range(200):
        store = run(mode, seed)
        assert check(store.history, store.final(), by_context=by_context) == [], seed


@pytest.mark.parametrize(
    ("bug", "mode", "kinds"),
    [
        (Bug.DROP_SIBLING, "siblings", {"MissingVersion"}),
        (Bug.IGNORE_TOKEN, "siblings", {"MissingVersion", "StaleVersion"}),
        (Bug.IGNORE_TOKEN, "lww", {"WriteCORead", "WriteCOInitRead", "CyclicCF"}),
        (Bug.REPLACE_UNSEEN, "siblings", {"MissingVersion", "LostWrite"}),
        (Bug.RESURRECT, "siblings", {"StaleVersion", "Resurrected"}),
        (Bug.RESURRECT, "lww", {"WriteCORead", "Resurrected", "CyclicCF"}),
        (Bug.LOSE_WRITE, "siblings", {"MissingVersion", "LostWrite"}),
        (Bug.LOSE_WRITE, "lww", {"WriteCORead", "WriteCOInitRead", "CyclicCF", "Resurrected"}),
        (Bug.REUSE_DOT, "lww", {"DotReuse"}),
        (Bug.REUSE_DOT, "siblings", {"DotReuse"}),
        (Bug.WRITE_TWICE, "siblings", {"DuplicateWrite"}),
    ],
)
def test_a_broken_store_is_noticed(bug: Bug, mode: Mode, kinds: set[str]) -> None:
    noticed = 0
    for seed in range(40):
        store = run(mode, seed, bug)
        noticed += bool(kinds & {each.kind for each in check(store.history, store.final())})
    assert noticed >= 30


def one_replica(mode: Mode, size: int) -> History:
    """Return the history of a store of one replica, in which all sessions learn from each other."""
    random, history = Random(1), History()
    held: dict[str, dict[Dot, str]] = {f"k{number}": {} for number in range(16)}
    last_read: dict[str, Operation] = {}
    for number in range(size):
        key = random.choice(list(held))
        kind: Any = random.choice(("get", "get", "put"))
        parents = tuple({max(0, number - random.randrange(1, 9)) for _ in range(2)} - {number})
        each = Operation(number, number % 8, "n", kind, key, mode, parents=parents, status="ok")
        if kind == "get":
            each.values = tuple(held[key].values())
            each.dots = each.shown = tuple(held[key])
            last_read[key] = each
        else:
            each.value, each.dot = f"v{number}", ("n", number)
            context = last_read.get(key)
            each.context_of = context.id if context else None
            covered = held[key] if mode == "lww" else context.dots if context else ()
            held[key] = {dot: held[key][dot] for dot in held[key] if dot not in covered}
            held[key][each.dot] = each.value
        history.append(each)
    return history


@pytest.mark.parametrize("mode", ["siblings", "lww"])
def test_twenty_thousand_operations_are_judged_in_seconds(mode: Mode) -> None:
    history = one_replica(mode, 20_000)
    started = perf_counter()
    assert check(history) == []
    assert perf_counter() - started < 5
