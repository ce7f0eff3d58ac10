"""Three nodes in the simulator: the product's own core, driver and native API, in virtual time.

One seed draws everything, so a story has the same log every time.  The network is calm, and carol
is far away: messages between carol and the others take ten times as long.
"""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from urllib.parse import parse_qsl, unquote

from cluster.simulator.world import SimNode, World
from coterie.steps import Answer
from examples.stage.cluster import Request, Unusable
from examples.stage.messages import CHATTER, Words, joined
from examples.stage.page import Page
from node.api.contract import Ask, Call, Facts, Handler, Limits, Refused, Reply
from node.api.native.key_values import key_values
from node.api.native.opaque import context_of, token_of
from node.core import status
from node.core.model.keys import key_of
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.protocol import messages as m
from node.core.protocol.effects import Record
from node.core.protocol.operations import Outcome
from node.core.replica import Replica

NODES = ("alice", "bob", "carol")
FAR = "carol"
PATTERN = "/v1/kv/{key}"
PREFIX = "/v1/kv/"
LIMITS = Limits(value_bytes_max=1024 * 1024, wait_s_max=2.0)
SEED = 12

NEAR_S, FAR_S = (0.001, 0.003), (0.02, 0.03)
DISK_S = (0.0006, 0.0006)
NOTICED_S = 2.0  # a broken link is noticed within this time
STEP_S = 0.0001  # answers are timed to this
ANSWERED_S = 10.0  # no request of a story may take longer
BEGUN_S = 8.0  # after this time all nodes know each other and are ready
SETTLED_S = 0.25  # after this time all that a request has caused has arrived
LEVEL_EVERY_S, LEVEL_S = 0.1, 20.0

LEGEND = (
    "alice, bob and carol are nodes in the simulator. Each has a replica of every key; carol is "
    "far away.",
    "The columns: when a message is sent and when it arrives, in ms; from > to; what it says.",
    "alice:2 is the second write that alice has named. The clock {alice:2 bob:1} has alice's first "
    "two writes, and bob's first.",
    "What a replica has of a key is its versions, and what it has seen: a version that was seen "
    "and is not there has been replaced.",
    "Tokens and contexts are opaque to clients; this log shows what is in them.",
)
ALL_THREE = "all three"

State = tuple[str, tuple[str, ...]]  # nodes, and what each of them has
Deliver = Callable[[str, str, m.Message, float | None], None]


class StoryWorld(World):
    """The world of the simulator, which tells of each message when it is sent."""

    def __init__(self, on_message: Deliver, watch: "SimulatedCluster") -> None:
        told = dict.fromkeys(NODES, Start(first_view(NODES, 1)))
        super().__init__(told, Random(SEED), watch, Options())
        self.weather.late, self.weather.sync_s = 0.0, DISK_S
        self.weather.detect_s = NOTICED_S
        self._on_message, self._delays = on_message, Random(SEED)

    def send(self, node: SimNode, target: str, envelope: m.Envelope) -> None:
        """Send a message.

        Its delay is drawn here, so that the log knows when it arrives.  Nothing is drawn for
        chatter: a log stays as it is when nodes send another number of heartbeats.
        """
        least, most = FAR_S if FAR in (node.address, target) else NEAR_S
        is_chatter = isinstance(envelope.message, (*CHATTER, m.Compare))
        delay = least if is_chatter else self._delays.uniform(least, most)
        self.weather.delay_s = delay, delay
        is_lost = (node.address, target) in self.cuts or not self.is_linked(node.address, target)
        arrives = None if is_lost else self.timeline.now + delay
        self._on_message(node.address, target, envelope.message, arrives)
        super().send(node, target, envelope)


class SimulatedCluster:
    """The cluster of a story (`cluster.Cluster`), which logs what the nodes do."""

    nodes: Sequence[str] = NODES
    legend: Sequence[str] = LEGEND

    def __init__(self, page: Page) -> None:
        self._page, self._is_logging = page, False
        self._began, self._key = 0.0, ""
        self._is_comparing = False
        self._last_states: list[State] = []
        self._words = Words(self._name_of)
        self._world = StoryWorld(self._on_message, self)
        for node in NODES:
            self._world.start(node)
        self._run(BEGUN_S)
        self._is_logging = True

    # ---------------------------------------------------------------- the cluster of a play
    def key(self, word: str) -> str:
        self._key = word
        return word

    def begin_step(self) -> None:
        self._began = self._world.timeline.now

    def now_ms(self) -> float:
        return self._ms(self._world.timeline.now)

    def send(self, node: str, request: Request) -> Answer:
        reply = self._reply(node, request)
        headers = {name.lower(): text for name, text in reply.headers.items()}
        return Answer(reply.status, {"content-type": reply.content_type, **headers}, reply.body)

    def in_short(self, header: str, text: str) -> str:
        """Decode tokens and contexts: to clients they are opaque."""
        if header == "Kv-Token":
            token = token_of(text)
            return self._words.seen(token.floor, token.exact)
        if header == "Kv-Context" and text != "none":
            past = context_of(self._key, text).past
            return self._words.seen(past.base, past.loose)
        return text

    def cut_off(self, node: str) -> str:
        others = [other for other in NODES if other != node]
        self._world.cut(pair for other in others for pair in ((node, other), (other, node)))
        self._log("network", f"{node} is cut off from {' and '.join(others)}")
        return ""

    def heal(self) -> None:
        if self._world.cuts:
            self._world.mend(set(self._world.cuts))
            self._log("network", "is whole again")

    def settle(self) -> None:
        self._run(SETTLED_S)
        self._log_states()

    def until_level(self) -> None:
        deadline = self._world.timeline.now + LEVEL_S
        self._is_comparing = True
        while len(self._states()) > 1:
            if self._world.timeline.now > deadline:
                raise Unusable(f"the replicas differ after {LEVEL_S:g} s")
            self._run(LEVEL_EVERY_S)
        self._is_comparing = False

    def close(self) -> None: ...

    # ---------------------------------------------------------------- what the simulator shows
    def on_sent(self, node: SimNode, target: str, envelope: m.Envelope) -> None: ...

    def on_forgotten(self, node: SimNode) -> None: ...

    def on_durable(self, node: SimNode, records: Sequence[Record]) -> None:
        """Log that the items of these records are on the disk."""
        for record in records:
            if record.table == "item" and record.value is not None:
                self._log(node.address, f"{key_of(record.key)} is on disk")

    def _on_message(
        self, source: str, target: str, message: m.Message, arrives: float | None
    ) -> None:
        is_news = not isinstance(message, m.Compare) or self._tells(message, target)
        if isinstance(message, CHATTER) or not is_news:
            return
        there = None if arrives is None else self._ms(arrives)
        lost = " (lost)" if arrives is None else ""
        self._log(f"{source} > {target}", self._words.message(message) + lost, there)

    def _tells(self, message: m.Compare, target: str) -> bool:
        """Whether a comparison is a part of the story: it shows that two replicas differ."""
        clock = joined(summary.clock for summary in message.summaries)
        return self._is_comparing and clock != self._replica(target).keyspace.clock

    def _log(self, parties: str, text: str, there_ms: float | None = None) -> None:
        if self._is_logging:
            self._page.entry(self.now_ms(), there_ms, parties, text)

    def _log_states(self) -> None:
        """Log what the replicas have of the key, if that has changed since it was last logged."""
        states = self._states()
        if states != self._last_states:
            self._last_states = states
            self._page.states(states)

    def _states(self) -> list[State]:
        """Return the different states that replicas have, with the nodes of each."""
        nodes_with = dict[tuple[str, ...], list[str]]()
        for node in NODES:
            keyspace = self._replica(node).keyspace
            versions = self._words.versions(keyspace.filled(self._key))
            state = f"clock {self._words.clock(keyspace.clock)}", *versions
            nodes_with.setdefault(state, []).append(node)
        return [
            (ALL_THREE if len(nodes) == len(NODES) else " ".join(nodes), state)
            for state, nodes in nodes_with.items()
        ]

    # ---------------------------------------------------------------- within
    def _reply(self, node: str, request: Request) -> Reply:
        query, headers = dict(parse_qsl(request.query)), dict(request.headers)
        path = {"key": unquote(request.path.removeprefix(PREFIX))}
        facts, outcomes = partial(self._facts, node), list[Outcome]()
        call = Call(request.method, path, query, headers, request.body or b"", facts, LIMITS)
        try:
            asked = HANDLERS[request.method](call)
            assert isinstance(asked, Ask), "each request of a story is one request of the core"
            self._world.submit(node, asked.request, outcomes.append)
            return asked.say(self._first(outcomes))
        except Refused as refusal:
            return NATIVE.reword(call, refusal.reply)

    def _first(self, outcomes: Sequence[Outcome]) -> Outcome:
        """Let time pass until there is an outcome."""
        deadline = self._world.timeline.now + ANSWERED_S
        while not outcomes:
            if self._world.timeline.now > deadline:
                raise Unusable(f"the core has not answered after {ANSWERED_S:g} s")
            self._run(STEP_S)
        return outcomes[0]

    def _facts(self, node: str) -> Facts:
        replica, driver = self._replica(node), self._world.nodes[node].driver
        assert driver is not None
        return Facts(
            address=node,
            view=replica.view,
            alive=partial(status.alive, replica, driver.now()),
            cluster=replica.keyspace.name,
            now=driver.now(),
            node_of=partial(status.node_of, replica),
            packed=replica.keyspace.runs.pack_past,
        )

    def _replica(self, node: str) -> Replica:
        driver = self._world.nodes[node].driver
        assert driver is not None
        return driver.replica

    def _name_of(self, actor: str) -> str:
        return status.node_of(self._replica(NODES[0]), actor) or actor

    def _run(self, seconds: float) -> None:
        self._world.timeline.run(self._world.timeline.now + seconds)

    def _ms(self, when: float) -> float:
        return (when - self._began) * 1000


NATIVE = key_values()
HANDLERS: dict[str, Handler] = {
    route.method: route.handler for route in NATIVE.routes if route.pattern == PATTERN
}
