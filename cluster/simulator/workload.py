"""Sessions that use a simulated cluster, and the history of what they were told.

Each session is a closed loop, with a burst now and then.  It changes node for most operations and
works on a few hot keys.  A session *replaces*
its token with that of the last answer and never joins tokens itself, except where two sessions
meet: so every promise about causality is the store's alone.  Tokens and contexts cross the wire
each time.  An operation without a timely and certain answer is unknown.
"""

from functools import partial

import msgspec

from cluster.checker.history import History, Kind, Mode as KeyMode, Operation, Status
from cluster.simulator import checked_reads
from cluster.simulator.conditions import Conditions
from cluster.simulator.hinted import HintDraws
from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.keys import keys_of, mode_of
from cluster.simulator.lifetimes import Lifetimes
from cluster.simulator.native_keys import NativeKeys
from cluster.simulator.nemesis import Swarm
from cluster.simulator.repeats import Repeats
from cluster.simulator.sessions import Answer, OpenRequest, Session, token_of
from cluster.simulator.world import World
from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.item import Past
from node.core.model.quorum import AVAILABLE
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    Mismatch,
    Outcome,
    Overfull,
    Put,
    Rejected,
    Stored,
    Unavailable,
    Unmet,
)

PATIENCE_S = 3.0
RETRY_S = 0.2  # a session that finds no node up tries again after this
BLIND = 0.15
STAY = 0.2
MEET = 0.03
HAND_OVER = 0.03
BURST = 0.05
PAIR = 0.1
UNTOLD = 0.1
HOT = 0.25  # the share of operations on the key that was written last
READS = 0.5
CLOCKED_EVERY = 4  # one of this many writes keeps a vector clock
LEVELS = (AVAILABLE, AVAILABLE, "one", "one", "quorum", "all")

PASTS = msgspec.msgpack.Decoder(Past)
Context = tuple[bytes, int] | None  # of a key, as bytes, and the operation whose answer had it


class Workload:
    """All sessions of a run and the history that they make."""

    def __init__(self, world: World, swarm: Swarm, monitor: InvariantMonitor, seed: int) -> None:
        self._world, self._monitor = world, monitor
        self._conditions, self._lifetimes = Conditions(seed), Lifetimes(seed, swarm.skew_s)
        self._repeats, self._hinted = Repeats(seed, swarm.skew_s), HintDraws(seed)
        self.native = NativeKeys(world, monitor, seed, self._lifetimes)
        self._checks_reads = checked_reads.is_drawn(seed)
        self._think_s, self._deletes = swarm.think_s, swarm.deletes
        self._random, self._timeline = world.random, world.timeline
        self.keys = keys_of(world.random, swarm.keys)
        self.history = History()
        self._hot, self._pair = self.keys[0], self.keys[:2]
        nodes = list(world.nodes)
        self.sessions = [Session(i, self._random.choice(nodes)) for i in range(swarm.sessions)]
        self._numbers = swarm.sessions
        self._stopped = False

    def begin(self) -> None:
        for session in self.sessions:
            self._think(session)

    def stop(self) -> None:
        """Begin no more operations, and send none again; those under way may still be answered."""
        self._stopped = True

    def excuses(self, write: Operation) -> bool:
        """Whether a lost disk may have taken this write along, or its time."""
        return self._monitor.excuses(write) or self._lifetimes.excuses(write)

    def read(self, session: Session, key: str, node: str, get: Get) -> Operation:
        """Begin one read with the session's token, and record it; its answer comes later."""
        operation = self._record(session, "get", key, node, None)
        self._submit(session, operation, get)
        return operation

    # ------------------------------------------------------------------ the loop of a session
    def _think(self, session: Session) -> None:
        pause = self._random.expovariate(1 / self._think_s)
        self._timeline.after(pause, partial(self._next, session))

    def _next(self, session: Session) -> None:
        if self._stopped:
            return
        up = self._able()
        if not up:
            self._timeline.after(RETRY_S, partial(self._next, session))
            return
        self._mingle(session)
        session.waiting += 1  # so that early answers do not end the burst
        for _ in range(self._random.randint(2, 4) if self._random.random() < BURST else 1):
            if session.node not in up or self._random.random() > STAY:
                others = [address for address in up if address != session.node]
                session.node = self._random.choice(others or up)
            self._operate(session, *self._choose(session))
        self._answered(session)

    def _able(self) -> list[str]:
        """Return the nodes to choose from; seldom one that is up without a view."""
        drivers = {address: node.driver for address, node in self._world.nodes.items()}
        up = [address for address, driver in drivers.items() if driver is not None]
        told = [a for a in up if (driver := drivers[a]) and driver.replica.view.number]
        return up if self._random.random() < UNTOLD else told or up

    def _answered(self, session: Session) -> None:
        """Let the session go on when its whole burst is answered."""
        session.waiting -= 1
        if not session.waiting:
            self._think(session)

    def _mingle(self, session: Session) -> None:
        """Sometimes let two sessions meet, or one go on where another is."""
        chance = self._random.random()
        if chance < MEET:
            session.meet(self._random.choice(self.sessions))
        elif chance < MEET + HAND_OVER:
            self._numbers += 1
            session.take_over(self._random.choice(self.sessions), self._numbers)

    def _choose(self, session: Session) -> tuple[Kind, str]:
        """Choose the next step of the script, or any; the script reads back two keys in order."""
        if session.script:
            return session.script.popleft()
        random, kind = self._random, self._kind()
        if random.random() < PAIR and kind == "get":
            session.script.append((kind, self._pair[0]))
            return kind, self._pair[1]
        if random.random() < PAIR:
            self._pair = random.sample(self.keys, 2)
            session.script.append((kind, self._pair[1]))
            return kind, self._pair[0]
        return kind, self._hot if random.random() < HOT else random.choice(self.keys)

    def _kind(self) -> Kind:
        if self._random.random() < READS:
            return "get"
        return "delete" if self._random.random() < self._deletes else "put"

    def _operate(self, session: Session, kind: Kind, key: str) -> None:
        if self.native.has(key):
            self._operate_by_policy(session, kind, key)
            return
        if kind == "get":
            operation = self._record(session, kind, key, session.node, None)
            self._submit(session, operation, self._get(session, key))
            return
        self._hot = key
        sends_context = mode_of(key) == "siblings" and self._random.random() >= BLIND
        context = session.contexts.get(key) if sends_context else None
        operation = self._record(session, kind, key, session.node, context and context[1])
        self._submit(session, operation, self._put(session, operation, context))

    def _operate_by_policy(self, session: Session, kind: Kind, key: str) -> None:
        """Do what the native API does with a request at this node."""
        native, node = self.native, session.node
        kind, ruling = native.kind_of(kind, key), native.ruling(node, key)
        if kind == "get":
            operation = self._record(session, kind, key, node, None, native.mode_of_read(ruling))
            self._submit(session, operation, native.get(ruling, operation, self._get(session, key)))
            return
        self._hot, context = key, session.contexts.get(key)
        said = native.said(kind, key, context)
        if native.mode_of_write(ruling, kind, said) is None:
            self._monitor.reached["a policy refuses a blind write"] += 1
            said = native.said_at_last(kind, context)
        mode = native.mode_of_write(ruling, kind, said)
        if mode is None:
            return
        operation = self._record(
            session, kind, key, node, said.context and said.context[1],
            native.recorded_mode(ruling, said),
        )  # fmt: skip
        put = self._put(session, operation, said.context, not said.is_silent)
        self._submit(session, operation, native.put(ruling, said, mode, operation, put))

    def _get(self, session: Session, key: str) -> Get:
        waits = self._random.random() < 0.6
        return Get(
            key,
            Mode(mode_of(key)),
            token_of(session.token),
            Scope.KEY if waits or self._random.random() < 0.5 else Scope.SHARD,
            copies=(copies := 1 if self._random.random() < 0.8 else 2),
            wait_s=self._random.uniform(0.5, 2.0) if waits else 0.0,
            repair=copies > 1,
            check=copies == 1 and self._checks_reads,
        )

    def _put(
        self, session: Session, operation: Operation, context: Context, conditional: bool = True
    ) -> Put:
        refuses = self._random.random() < 0.3
        level = self._random.choice(LEVELS)
        absent = refuses and operation.value is None and self._random.random() < 0.5
        refuse_when = RefuseWhen(Scope.SHARD if refuses else None, absent)
        if conditional:
            read = session.read.get(operation.key)
            refuse_when = self._conditions.drawn(operation, read, refuse_when)
        identity = self._repeats.identity_of(operation)
        operation.repeated = bool(identity)
        return Put(
            operation.key,
            None if operation.value is None else operation.value.encode(),
            Mode(mode_of(operation.key)),
            token_of(session.token),
            PASTS.decode(context[0]) if context else Past(),
            level,
            refuse_when,
            clocked=operation.id % CLOCKED_EVERY == 0,
            expires=self._lifetimes.drawn(operation),
            identity=identity,
            hinted=self._hinted.drawn(),
        )

    # ------------------------------------------------------------------ requests and answers
    def _record(
        self,
        session: Session,
        kind: Kind,
        key: str,
        node: str,
        context_of: int | None,
        mode: KeyMode | None = None,
    ) -> Operation:
        number = len(self.history)
        seen = None if context_of is None else self.history[context_of]
        operation = Operation(
            number,
            session.number,
            node,
            kind,
            key,
            mode or mode_of(key),
            value=self.native.value_of(number, key, seen) if kind == "put" else None,
            started=self._timeline.now,
            parents=session.parents,
            context_of=context_of,
        )
        return self.history.append(operation)

    def _submit(self, session: Session, operation: Operation, request: Put | Get) -> None:
        call = OpenRequest(session, operation, request)
        session.waiting += 1
        value = (operation.value or "").rstrip(".")
        self._note(f"#{operation.id} {operation.kind} {operation.key} {value} at {operation.node}")
        self._timeline.after(PATIENCE_S, partial(self._finish, call, "unknown"))
        if isinstance(request, Put) and request.identity:
            waits = self._repeats.waits()
            call.awaited += len(waits)
            for wait_s in waits:
                self._timeline.after(wait_s, partial(self._send_again, call))
        self._send(call, operation.node)

    def _send_again(self, call: OpenRequest) -> None:
        if not self._stopped and (up := self._able()):
            node = self._repeats.node(up)
            self._note(f"#{call.operation.id} again at {node}")
            self._monitor.reached["a write that is sent again"] += 1
            self._send(call, node)

    def _send(self, call: OpenRequest, node: str) -> None:
        answers: list[Outcome] = []

        def on_answer(outcome: Outcome) -> None:
            answers.append(outcome)
            if len(answers) > 1:
                raise ViolationError("AnsweredTwice", f"#{call.operation.id}: {answers}")
            self._on_answer(call, node, outcome)

        self._world.submit(node, call.request, on_answer)

    def _on_answer(self, call: OpenRequest, node: str, outcome: Outcome) -> None:
        self._monitor.reached[f"{call.operation.kind} {type(outcome).__name__}"] += 1
        if call.over:
            return
        number, now = len(self.history), self._timeline.now
        if read := self._conditions.read_by(call.operation, outcome, number, now):
            self.history.append(read)
        match outcome:
            case Stored():
                assert isinstance(call.request, Put)
                if (driver := self._world.nodes[node].driver) is not None:
                    self._monitor.learn_views(driver.replica.views.history.views.values())
                self._monitor.on_stored(call.request, outcome)
                self.native.judge_write(call.operation, outcome)
                self._finish(call, "ok", outcome)
            case Absent() if call.awaited > 1:
                call.awaited -= 1  # the delete may yet be done where it was sent again
            case Found() | Absent():
                self._finish(call, "ok", outcome)
            case Rejected():
                raise ViolationError("RejectedAsForeign", f"#{call.operation.id}: {outcome}")
            case Unmet() | Unavailable(definite=True) | Overfull() | Mismatch():
                call.awaited -= 1
                if not call.awaited:
                    self._finish(call, "fail")
            case _ if call.awaited == 1:
                self._finish(call, "unknown")

    def _finish(self, call: OpenRequest, status: Status, answer: Answer | None = None) -> None:
        if call.over:
            return
        call.over = True
        operation, session, now = call.operation, call.session, self._timeline.now
        match answer:
            case Found(values=values, shown=shown, dots=dots):
                texts = tuple(value.decode() for value in values)
                self._lifetimes.judge(operation, texts)
                self.native.judge_read(operation, answer)
                marks = self._monitor.marks_among(dots)
                self.history.finish(
                    operation.id, ended=now, status=status, values=texts, shown=shown, dots=dots,
                    marks=marks,
                )  # fmt: skip
            case Absent(dots=dots):
                marks = self._monitor.marks_among(dots)
                self.history.finish(operation.id, ended=now, status=status, dots=dots, marks=marks)
            case Stored(dot=dot):
                self.history.finish(operation.id, ended=now, status=status, dot=dot)
            case _:
                self.history.finish(operation.id, ended=now, status=status)
        self._note(f"#{operation.id} {status} {operation.dot or ''} {operation.values}")
        if answer is not None:
            session.learn(operation, answer, self.native.has(operation.key))
        self._answered(session)

    def _note(self, what: str) -> None:
        self._world.trace.note(self._timeline.now, what)
