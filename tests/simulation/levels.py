"""Writes and reads of the native API at chosen levels, while the network does its worst.

n1, n2 and n3 own the keys, and n4 owns none of them.  n1 is the home of every write.  Only as many
replicas have a write as its level asks for: the network delays what would bring it to the others.
n1 is also the last to answer a read.  Then a replica stops or loses its disk, and clients read.
"""

from collections import defaultdict
from functools import cache, partial
from itertools import combinations, count, product
from typing import NamedTuple

import orjson

from cluster.simulator.world import SimNode
from node.api.contract import Ask, Call, Facts, Limits, Reply
from node.api.native.key_values import key_values
from node.core import status
from node.core.model.keys import slot_of_key
from node.core.model.placement import first_view
from node.core.protocol.messages import Envelope, Page, ReadRepair, Replicate, State
from node.core.replica import Replica
from tests.dialects.answering import handlers_of
from tests.simulation.post import Post

OWNERS, OTHERS = ("n1", "n2", "n3"), ("n4", "n5", "n6")
ALL = (*OWNERS, *OTHERS)
HOME, LAST, OUTSIDER = "n1", "n3", "n4"
COPIES = {"available": 1, "one": 1, "quorum": 2, "all": 3}  # the fewest that a level may mean
READ_LEVELS = ("one", "quorum", "all")
WHOSE = ("no", "the writer's", "a reader's", "a later writer's")  # token
LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)
HANDLERS = handlers_of(key_values())
OLD, NEW = b"old", b"new"
TIMEOUT_S = 1.5  # longer than `available` waits for slow members
SLOW_S = 0.05  # so much later than the others n1 tells its state
NOTICED_S = 3.0  # so long after its crash every node knows that a node is down
REPAIRED_S = 15.0
SEEDS = (1, 2, 3, 4)  # of writes that are counted: which ack comes first depends on the delays

Shown = dict[tuple[str, str, bool], set[str]]  # by w, r, and whether the reader has a token


class Client(NamedTuple):
    """One read to come: its key, written at the level w, its own level, where it is sent, and
    whose token it has."""

    key: str
    w: str
    r: str
    at: str
    whose: str


class Levels(Post):
    """Two shards of three.  `copies` says which replicas hear of the writes of a key.

    Pages of repair pass from these nodes only.
    """

    def __init__(self, seed: int = 1) -> None:
        self.copies: dict[str, tuple[str, ...]] = {}
        self.pages_from: tuple[str, ...] = ALL
        super().__init__(seed, ALL, 2)
        self.holds = self._delays

    def _delays(self, node: SimNode, target: str, envelope: Envelope) -> bool:
        message = envelope.message
        if isinstance(message, Replicate | ReadRepair):
            return target not in self.copies.get(message.key, (target,))
        return isinstance(message, Page) and node.address not in self.pages_from

    def send(self, node: SimNode, target: str, envelope: Envelope) -> None:
        is_late = node.address == HOME and isinstance(envelope.message, State)
        send = partial(super().send, node, target, envelope)
        self.timeline.after(SLOW_S if is_late else 0.0, send, node.run)

    def replica(self, address: str) -> Replica:
        driver = self.nodes[address].driver
        assert driver is not None
        return driver.replica

    def facts(self, address: str) -> Facts:
        replica, driver = self.replica(address), self.nodes[address].driver
        assert driver is not None
        now = driver.now()
        alive = partial(status.alive, replica, now)
        return Facts(address, replica.view, alive, cluster=replica.keyspace.name, now=now)

    def ask(
        self,
        method: str,
        at: str,
        key: str,
        level: str,
        body: bytes = b"",
        token: str = "",
        strict: str = "false",
    ) -> list[Reply]:
        """Send a request of the native API; its answer is going to be in the list."""
        replies: list[Reply] = []
        levels = {"r" if method == "GET" else "w": level, "strict": strict}
        query = {**levels, "timeout": str(TIMEOUT_S)}
        headers = {"Kv-Token": token} if token else {}
        call = Call(method, {"key": key}, query, headers, body, partial(self.facts, at), LIMITS)
        said = HANDLERS[method, "/v1/kv/{key}"](call)
        assert isinstance(said, Ask), said
        self.submit(at, said.request, lambda outcome: replies.append(said.say(outcome)))
        return replies

    def answers(self, asked: list[list[Reply]]) -> list[Reply]:
        """Wait until all these requests are answered, and return the answers."""
        self.wait(TIMEOUT_S + 1.0)
        return [reply for (reply,) in asked]

    def put(self, keys: list[str], levels: list[str], body: bytes, tokens: list[str]) -> list[str]:
        """Write all these keys at n1, each at its level and with its token; return the tokens."""
        each = zip(keys, levels, tokens, strict=True)
        asked = [self.ask("PUT", HOME, key, level, body, token) for key, level, token in each]
        replies = self.answers(asked)
        for level, reply in zip(levels, replies, strict=True):
            assert reply.headers.get("Kv-Acks") == f"{COPIES[level]}/3", reply
        return [reply.headers["Kv-Token"] for reply in replies]

    def get(self, keys: list[str], at: str) -> list[str]:
        """Read all these keys at a node, without tokens; return the tokens of the answers."""
        replies = self.answers([self.ask("GET", at, key, "one") for key in keys])
        assert {reply.status for reply in replies} == {200}
        return [reply.headers["Kv-Token"] for reply in replies]

    def tokens(self, clients: list[Client], written: list[str]) -> dict[str, str]:
        """Return each client's token, by its key: all but the empty ones depend on the write."""
        keys = [client.key for client in clients]
        seen = self.get(keys, HOME)
        later = [f"{key} later" for key in keys]
        self.put(later, ["all"] * len(keys), NEW, seen)
        after = self.get(later, LAST)
        each = zip(clients, written, seen, after, strict=True)
        return {client.key: ("", *own)[WHOSE.index(client.whose)] for client, *own in each}

    def lose_disk(self, address: str) -> None:
        """Replace a node's disk; what it had sent and has not arrived is lost, too."""
        self.held = [held for held in self.held if held[0].address != address]
        self.replace_disk(address)


def clients_at(*up: str) -> list[Client]:
    """Return a client for each pair of levels, at each of these nodes, with each kind of token.
    Each has a key of its own, since a read may repair what it reads."""
    view = first_view(ALL, 2)
    ours = (name for n in count() if view.shard_of(slot_of_key(name := f"k{n}")).id == "s1")
    return [
        Client(next(ours), w, r, at, whose)
        for w in COPIES
        for r in READ_LEVELS
        for at in up
        for whose in WHOSE
    ]


def written(clients: list[Client]) -> tuple[Levels, dict[str, str]]:
    """Write each client's key twice: first everywhere, then on as few replicas as its level may
    mean.  Return the clients' tokens, by their keys."""
    world, keys = Levels(), [client.key for client in clients]
    nothing = [""] * len(keys)
    world.put(keys, ["all"] * len(keys), OLD, nothing)
    world.wait(REPAIRED_S)
    world.pages_from = ()
    world.copies = {client.key: OWNERS[: COPIES[client.w]] for client in clients}
    own = world.put(keys, [client.w for client in clients], NEW, nothing)
    return world, world.tokens(clients, own)


def shown(world: Levels, tokens: dict[str, str], clients: list[Client]) -> Shown:
    """Let all clients read; return what they were shown."""
    asked = [world.ask("GET", c.at, c.key, c.r, token=tokens[c.key]) for c in clients]
    all_shown: Shown = defaultdict(set)
    for client, reply in zip(clients, world.answers(asked), strict=True):
        all_shown[client.w, client.r, client.whose != "no"].add(word_of(reply))
    return all_shown


def word_of(reply: Reply) -> str:
    """Say what a read was answered: the write, an older value, or a refusal."""
    if reply.status == 200:
        return {NEW: "seen", OLD: "older"}[reply.body]
    problem = orjson.loads(reply.body)
    assert (reply.status, problem["definite"]) == (503, True), problem
    return f"503 {problem['type'].rpartition('/')[2]}"


def joined(*each: Shown) -> Shown:
    """Return what the clients of several plays were shown."""
    all_shown: Shown = defaultdict(set)
    for play in each:
        for pair, words in play.items():
            all_shown[pair] |= words
    return all_shown


@cache
def while_all_are_up() -> Shown:
    clients = clients_at(*OWNERS, OUTSIDER)
    return shown(*written(clients), clients)


@cache
def while_one_is_down() -> Shown:
    """Crash each replica in turn; read at once, and when all nodes know it."""
    return joined(*[_down(node, after_s) for node in OWNERS for after_s in (0.0, NOTICED_S)])


def _down(down: str, after_s: float) -> Shown:
    clients = clients_at(*(node for node in OWNERS if node != down), OUTSIDER)
    world, tokens = written(clients)
    world.crash(down)
    world.wait(after_s)
    return shown(world, tokens, clients)


@cache
def after_a_lost_disk() -> Shown:
    """Replace the disk of each replica in turn; read soon.  Either all nodes tell each other what
    they have, or at first only n3 does, which may lack the writes."""
    only_last = (LAST, *OTHERS)
    moments = ((0.0, only_last), (1.0, ALL), (3.0, only_last))
    return joined(*[_lost(node, *moment) for node in OWNERS for moment in moments])


@cache
def once_repaired() -> Shown:
    """Replace the disk of each replica in turn; read when the replicas have told each other all."""
    return joined(*[_lost(node, REPAIRED_S, ALL) for node in OWNERS])


def _lost(lost: str, after_s: float, pages_from: tuple[str, ...]) -> Shown:
    clients = clients_at(*OWNERS, OUTSIDER)
    world, tokens = written(clients)
    world.pages_from = pages_from
    world.lose_disk(lost)
    world.wait(after_s)
    return shown(world, tokens, clients)


@cache
def acknowledged(down: int, strict: str) -> dict[str, set[str]]:
    """Stop so many replicas, and write at each level when all nodes know it, at each replica that
    is up, or else at n4, strictly or not; return what the writes are answered."""
    answers: dict[str, set[str]] = defaultdict(set)
    for seed, gone in product(SEEDS, combinations(OWNERS, down)):
        world = Levels(seed)
        for address in gone:
            world.crash(address)
        world.wait(NOTICED_S)
        for at in [address for address in OWNERS if address not in gone] or [OUTSIDER]:
            keys = dict(zip(COPIES, (client.key for client in clients_at(at)), strict=False))
            asked = [world.ask("PUT", at, k, level, strict=strict) for level, k in keys.items()]
            for level, reply in zip(keys, world.answers(asked), strict=True):
                answers[level].add(answer_of(reply))
    return answers


def answer_of(reply: Reply) -> str:
    """Say what a write was answered: the copies, or the refusal."""
    if reply.status < 300:
        hints = reply.headers.get("Kv-Hints")
        return f"{reply.headers['Kv-Acks']}, hints: {hints}" if hints else reply.headers["Kv-Acks"]
    problem = orjson.loads(reply.body)
    assert (reply.status, problem["type"]) == (503, "/v1/problems/unavailable"), problem
    is_definite = str(problem["definite"]).lower()
    return f"503, definite: {is_definite}, acks: {problem['acks']}"
