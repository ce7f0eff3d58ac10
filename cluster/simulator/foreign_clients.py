"""Clients with foreign tokens: of another cluster, with impossible timestamps, with unnamed dots.

They turn to nodes in whatever state these are: before first contact, cut off, wiped, in the middle
of a view change.  A node refuses a token of another cluster, and no row of any disk ever has
anything of it.  A timestamp beyond all clocks does not come back in an answer.
(docs/decisions/0028.)
"""

from collections.abc import Callable
from functools import partial
from random import Random

from cluster.simulator.invariants import STRANGER, InvariantMonitor, ViolationError
from cluster.simulator.recurring import Recurring
from cluster.simulator.world import World
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.hlc import AHEAD_MS_MAX, MILLISECONDS_MAX, TIMESTAMP_COUNT_MAX
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.model.token import ALL_KEYS, Token
from node.core.protocol.operations import Get, List, Outcome, Put, Rejected, Request, Unavailable
from node.core.replica import Replica

SHARE = 0.6  # of the seeds
EVERY_S = 0.7
ACTOR = f"{STRANGER}.1"
NAME = STRANGER[:6]
ABSURD = MILLISECONDS_MAX - 1, TIMESTAMP_COUNT_MAX - 1, ACTOR


class ForeignClients(Recurring):
    """The draws of one run; `keys` are those that the sessions work on."""

    def __init__(self, world: World, monitor: InvariantMonitor, seed: int, keys: list[str]) -> None:
        random = Random(f"strangers {seed}")
        super().__init__(world, monitor, random, EVERY_S, random.random() < SHARE)
        self._keys = keys
        self._asks: tuple[Callable[[Replica], None], ...] = (
            self._bring_another_clusters,
            self._bring_another_clusters,
            self._bring_an_absurd_stamp,
            self._bring_what_was_never_named,
        )

    def demand_refusal(
        self, addresses: list[str], until: Callable[[Callable[[], bool]], bool]
    ) -> None:
        """Demand that at rest every node recognizes and refuses a token of another cluster at
        once.
        """
        token, answers = Token({}, {(ACTOR, 1): 0}, name=NAME), dict[str, Outcome]()

        def note(address: str, outcome: Outcome) -> None:
            answers[address] = outcome

        for address in addresses:
            put = Put(self._keys[0], None, token=token)
            self._world.submit(address, put, partial(note, address))
        until(lambda: len(answers) == len(addresses))
        for address in addresses:
            if not isinstance(answer := answers.get(address), Rejected):
                raise ViolationError("StrangerNotKnown", f"{address} answers {answer}")

    def _strike(self) -> None:
        now = self._world.timeline.now
        awake = [node for node in self._world.nodes.values() if node.run.paused_until <= now]
        drivers = [node.driver for node in awake if node.driver is not None]
        if drivers:
            self._random.choice(self._asks)(self._random.choice(drivers).replica)

    def _submit(
        self, replica: Replica, request: Request, judge: Callable[[Request, Outcome], None]
    ) -> None:
        self._world.submit(replica.address, request, partial(judge, request))

    # ------------------------------------------------------------------ what they bring
    def _bring_another_clusters(self, replica: Replica) -> None:
        """Bring a token of another cluster: by its name, or without one as in old versions.

        A context has no name either.
        """
        key = self._random.choice(self._keys)
        exact = {(ACTOR, self._random.randint(1, 9)): key_hash_of(key, key.startswith("l"))}
        name = self._random.choice((NAME, ""))
        token = Token({}, exact, b"", (1_000_000_000, 0, ACTOR), name=name)
        floors = Token({ACTOR: 3}, {}, ALL_KEYS, name=name)
        context = Past({ACTOR: 2}, {(ACTOR, 5)})
        requests: tuple[Request, ...] = (
            Put(key, STRANGER.encode(), token=token),
            Put(key, STRANGER.encode(), token=floors, level="one"),
            Put(key, STRANGER.encode(), Mode.SIBLINGS, context=context),
            Put(key, None, Mode.SIBLINGS, Token(name=NAME)),
            Get(key, token=token, wait_s=1.0),
            Get(key, Mode.SIBLINGS, floors),
            List(token=token, wait_s=1.0),
        )
        self._submit(replica, self._random.choice(requests), self._must_be_refused)

    def _must_be_refused(self, request: Request, outcome: Outcome) -> None:
        match outcome:
            case Rejected():
                self._monitor.reached["a stranger is refused"] += 1
            case Unavailable(definite=True):
                self._monitor.reached["a stranger is not known as one yet"] += 1
            case _:
                raise ViolationError("StrangerLetIn", f"{request} is answered {outcome}")

    def _bring_an_absurd_stamp(self, replica: Replica) -> None:
        """Bring our own token with an absurd timestamp: the node takes it and drops the
        timestamp.
        """
        key = self._random.choice(self._keys)
        token = Token(timestamp=(*ABSURD[:2], replica.keyspace.actor), name=replica.keyspace.name)
        mode = Mode.LWW if key.startswith("l") else Mode.SIBLINGS
        self._submit(replica, Get(key, mode, token), self._must_not_come_back)
        nothing = Put("of strangers", None, token=token, refuse_when=RefuseWhen(absent=True))
        self._submit(replica, nothing, self._must_not_come_back)

    def _must_not_come_back(self, request: Request, outcome: Outcome) -> None:
        token = getattr(outcome, "token", Token())
        now_ms = max(n.clock.now() for n in self._world.nodes.values() if n.clock) * 1000
        if token.timestamp[0] > now_ms + AHEAD_MS_MAX:
            raise ViolationError("StampHandedOn", f"{request} is answered {outcome}")
        self._monitor.reached["an absurd stamp is taken"] += 1

    def _bring_what_was_never_named(self, replica: Replica) -> None:
        """Bring a dot that this node would have named itself, and has not."""
        key = self._random.choice(self._keys)
        keyspace = replica.keyspace
        dot = keyspace.actor, keyspace.counter + self._random.randint(1, 9)
        token = Token({}, {dot: key_hash_of(key, key.startswith("l"))}, name=keyspace.name)
        request = self._random.choice(
            (Put(key, STRANGER.encode(), token=token), Get(key, token=token))
        )
        self._submit(replica, request, self._must_be_refused)
