"""Clients of counters and sets, drawn apart from everything else.

Each addition to a counter has a digit of its own: the n-th one adds 4 to the power of n.  So the
sum tells of each addition how often it is counted.  Each element of a set is added a few times, and
removed meanwhile and later.  Half of the additions are sent again, to other nodes, and are one.

Of a change that is done the answer has the state at its home, and the state says what a remove or a
delete has seen.  At rest each replica must have just what that allows (`merged_rules`).
(docs/decisions/0051.)
"""

from functools import partial
from random import Random

import msgspec

from cluster.simulator import merged_rules
from cluster.simulator.hint_rules import HintMonitor
from cluster.simulator.invariants import ViolationError
from cluster.simulator.merged_rules import DIGIT, Done
from cluster.simulator.recurring import Recurring
from cluster.simulator.repeats import SKEW_S_MAX
from cluster.simulator.sessions import NO_TOKEN, token_of
from cluster.simulator.world import World
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.element_sets import ElementSet
from node.core.model.keys import COUNTERS, SETS, slot_of_key
from node.core.model.merged_values import State, joined
from node.core.model.token import encode
from node.core.model.view import View
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Outcome,
    OutOfBounds,
    Overfull,
    Put,
    Stored,
    Unavailable,
    Unmet,
)

SHARE = 0.7  # of the seeds
SINCE = 20270101 * 100_000  # seeds of the days before were played without, and play so again
OF_SUITE = range(1_050_000, 1_100_000)
EVERY_S = 0.04
PATIENCE_S = 3.0
SESSIONS = 5
READS = 0.25
AGAIN = 0.5  # the share of additions that are sent again; fewer of what removes
AGAIN_S = (0.02, 0.1, 0.4, 1.5)
KEPT, RESET = 3, 2  # counters that are never deleted, and that are
DELETES = 0.12  # of the changes of the others
CLEARS = 0.01  # of the changes of sets
REMOVES = 0.3
ADDED = 2.0  # how often an element is added
NEAR = 6  # one of so many elements that were new last is added or removed
LEVELS = ("available", "available", "one", "quorum", "all")


def is_drawn(seed: int) -> bool:
    """Whether clients of this run use counters and sets."""
    is_new = seed >= SINCE or seed in OF_SUITE
    return is_new and Random(f"merged {seed}").random() < SHARE


class _Session(msgspec.Struct):
    """A client: its token, whether it waits, and which additions to each key it has seen."""

    token: bytes = NO_TOKEN
    waits: bool = False
    known: dict[str, set[int]] = {}


class _Open(msgspec.Struct):
    """A request under way, which additions to its key its client had seen, and how many answers are
    still to come."""

    session: _Session
    done: Done | None
    known: frozenset[int] = frozenset()
    awaited: int = 1
    is_over: bool = False


class MergedClients(Recurring):
    """The draws of one run, and what its clients were told."""

    def __init__(self, world: World, monitor: HintMonitor, seed: int, skew_s: float) -> None:
        random = Random(f"merged of {seed}")
        super().__init__(world, monitor, random, EVERY_S, is_drawn(seed))
        self._second_homes = monitor.second_homes
        self._again = AGAIN if skew_s <= SKEW_S_MAX else 0.0
        names = [f"{n}.{random.randrange(1000)}" for n in range(KEPT + RESET + 2)]
        self._counters = [COUNTERS + name for name in names[: KEPT + RESET]]
        self._sets = [SETS + name for name in names[KEPT + RESET :]]
        self.keys = [*self._counters, *self._sets] if is_drawn(seed) else []
        self._done: dict[str, list[Done]] = {key: [] for key in self.keys}
        self._sessions = [_Session(known={}) for _ in range(SESSIONS)]

    # ------------------------------------------------------------------ what clients do
    def _strike(self) -> None:
        idle = [session for session in self._sessions if not session.waits]
        up = [address for address, node in self._world.nodes.items() if node.driver is not None]
        if not idle or not up:
            return
        session, key = self._random.choice(idle), self._random.choice(self.keys)
        if self._random.random() < READS:
            self._read(session, key, self._random.choice(up))
        elif change := self._change(key):
            self._do(session, key, change, up)

    def _read(self, session: _Session, key: str, node: str) -> None:
        copies = self._random.choice((1, 1, 2))
        get = Get(
            key, Mode.SIBLINGS, token_of(session.token), copies=copies, wait_s=1.0,
            repair=copies > 1, check=copies == 1, raw=True,
        )  # fmt: skip
        call = self._open(session, None)
        self._world.submit(node, get, partial(self._on_read, call, key))

    def _change(self, key: str) -> StateChange | None:
        """Draw what a client does to a key; None where the digits of a counter are used up."""
        if key in self._sets:
            return self._change_of_set(key)
        if key not in self._counters[:KEPT] and self._random.random() < DELETES:
            return StateChange(resets=True)
        n = sum(bool(each.change.amount) for each in self._done[key])
        sign = -1 if self._counters.index(key) % 2 else 1
        return StateChange(sign * DIGIT**n) if n < merged_rules.DIGITS_MAX else None

    def _change_of_set(self, key: str) -> StateChange:
        if self._random.random() < CLEARS:
            return StateChange(resets=True)
        newest = int(sum(len(each.change.add) for each in self._done[key]) / ADDED)
        element = str(max(0, newest - self._random.randrange(NEAR)))
        is_remove = self._random.random() < REMOVES
        return StateChange(remove=(element,)) if is_remove else StateChange(add=(element,))

    def _do(self, session: _Session, key: str, change: StateChange, up: list[str]) -> None:
        done = Done(len(self._done[key]), key, change, self._world.timeline.now)
        self._done[key].append(done)
        takes = bool(change.remove or change.resets)
        done.repeated = self._random.random() < self._again * (0.4 if takes else 1)
        put = Put(
            key, None, Mode.SIBLINGS, token_of(session.token),
            level=self._random.choice(LEVELS),
            refuse_when=RefuseWhen(unmet=Scope.KEY if takes else None, absent=change.resets),
            identity=f"n{done.number}.change" if done.repeated else "",
            hinted=self._random.random() < 0.5,
            change=change,
        )  # fmt: skip
        call = self._open(session, done)
        call.known = frozenset(session.known.get(key, ()))
        times = self._random.choice((1, 1, 2, 3)) if done.repeated else 0
        call.awaited += times
        self._send(call, put, self._random.choice(up))
        for _ in range(times):
            after_s = self._random.choice(AGAIN_S) * self._random.uniform(0.5, 2)
            self._world.timeline.after(after_s, partial(self._send_again, call, put))

    def _send_again(self, call: _Open, put: Put) -> None:
        up = [address for address, node in self._world.nodes.items() if node.driver is not None]
        if up and not self._calm:
            self._monitor.reached["a change that is sent again"] += 1
            self._send(call, put, self._random.choice(up))

    def _open(self, session: _Session, done: Done | None) -> _Open:
        session.waits, call = True, _Open(session, done)
        self._world.timeline.after(PATIENCE_S, partial(self._end, call))
        return call

    def _end(self, call: _Open) -> None:
        if not call.is_over:
            call.is_over, call.session.waits = True, False

    # ------------------------------------------------------------------ what they are told
    def _send(self, call: _Open, put: Put, node: str) -> None:
        assert call.done is not None
        call.done.sent += 1
        self._world.submit(node, put, partial(self._on_change, call, put, node))

    def _on_change(self, call: _Open, put: Put, node: str, outcome: Outcome) -> None:
        done = call.done
        assert done is not None
        self._monitor.reached[f"change {type(outcome).__name__}"] += 1
        call.awaited -= 1
        match outcome:
            case Stored(dot=dot, state=state, token=token):
                if (driver := self._world.nodes[node].driver) is not None:
                    self._monitor.learn_views(driver.replica.views.history.views.values())
                self._monitor.on_stored(put, outcome)
                done.told(dot, state)
                for number in call.known if put.refuse_when.unmet else ():
                    seen = self._done[done.key][number]
                    if not self._is_excused(seen) and not self._has_two_homes(seen):
                        merged_rules.demand_seen(done, seen, self._done[done.key])
                if not call.is_over:
                    call.session.token = encode(token)
                    if done.change.amount or done.change.add:
                        call.session.known.setdefault(done.key, set()).add(done.number)
                self._end(call)
            case Overfull() | OutOfBounds():
                raise ViolationError("RefusedWrongly", f"{done}: {outcome}")
            case Absent() | Unmet() | Unavailable(definite=True):
                done.refusals += 1
        if not call.awaited and not done.is_done:
            done.is_refused = done.refusals == done.sent
            self._end(call)

    def _on_read(self, call: _Open, key: str, outcome: Outcome) -> None:
        if call.is_over or not isinstance(outcome, Found | Absent):
            self._end(call)
            return
        self._end(call)
        session = call.session
        state = joined(key, outcome.values if isinstance(outcome, Found) else ())
        if key in self._counters[:KEPT]:
            for done in self._done[key]:
                if done.number in session.known.get(key, ()) and not self._is_excused(done):
                    merged_rules.demand_read(state, done)
        session.token = encode(outcome.token)

    def _is_excused(self, done: Done) -> bool:
        return done.started <= self._monitor.lost_until.get(done.key, -1.0)

    def _has_two_homes(self, done: Done) -> bool:
        """Whether its origin may have given it to two homes, so that it may have two names."""
        return self._second_homes.have_change(done.key, done.change)

    # ------------------------------------------------------------------ at rest
    def demand(self, view: View) -> None:
        """Demand that each replica has what clients were told, and nothing twice."""
        for key, changes in self._done.items():
            for done in changes:
                done.repeated |= self._has_two_homes(done)
            for address in view.shard_of(slot_of_key(key)).members:
                state = self._state(address, key)
                for done in changes:
                    merged_rules.demand_counted(state, done, changes, self._is_excused, address)
                if isinstance(state, ElementSet):
                    for element in {each for done in changes for each in done.change.add}:
                        merged_rules.demand_element(
                            state, element, changes, self._is_excused, address
                        )
            self._monitor.reached["changes that are counted"] += len(changes)

    def _state(self, address: str, key: str) -> State:
        driver = self._world.nodes[address].driver
        assert driver is not None, f"{address} is down"
        versions = driver.replica.peek(key).versions.values()
        return joined(key, [version.value for version in versions if version.value is not None])
