"""What an origin does with a client's read, from the request to the answer.

    begin     answer from our own state if that is enough; if not, ask the nodes that may hold it
    on_state  a state comes: join it with the others, and judge the read again
    feed      the key has changed here: do the same with our own state
    tick      time passes: ask one more node, ask all again, refuse, give up
    restart   another view, or a higher oldest view: drop all states, and begin again

A read is the join of the states that it was sent; the first is the origin's own if it holds the
slot.  Only the origin judges the join against the token.  It answers when enough states come from
stores that are whole: for the current view and for every view that led to it, as many as the read
wants copies (D10 R5).  If the join does not cover the token, the origin asks all nodes that may
hold the slot by any view.  If it is still not covered, the origin refuses the read, or parks it and
asks again until the deadline.

Example: n1, n2 and n3 own the key, and the token of n2's client names the write 7 of n1.  n2 has
the writes of n1 up to 6, so it asks n1 and n3.  n3 tells its state, up to 5: the join still lacks
write 7.  n1 tells its state, up to 7: the join covers the token, so n2 answers.  If n1 cannot be
reached, a client that does not wait is told that n2 has 6 and needs 7.

(protocol D4.3, D9.2, D9.3, D9.11.)
"""

from collections.abc import Callable

from node.core.integrity.row_repair import RowRepair
from node.core.membership.failure_detector import Detector
from node.core.membership.services import Services
from node.core.model.actors import Actor
from node.core.model.conditions import Mode, Scope
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.options import Options
from node.core.protocol.effects import Damaged
from node.core.protocol.messages import Fetch, State
from node.core.protocol.operations import Get, Outcome, Put, Unavailable, Unmet
from node.core.requests.causal_delivery import DeliveryBuffer
from node.core.requests.coverage import Missing, Need, need_of
from node.core.requests.look_first import LookFirst
from node.core.requests.read_answer import answer, stale
from node.core.requests.read_check import ReadChecks
from node.core.requests.read_owner import ReadOwner
from node.core.requests.read_repair import ReadRepairs, Tells
from node.core.requests.reading import ASK_AGAIN_S, REFUSED_AFTER_S, UNREACHABLE_S, Read

Asks = list[tuple[str, Fetch]]


class ReadOrigin:
    """The reads of this node's clients.  `owner` is this node's own side of a read.  `put` begins a
    write that has waited for a read; it is told whether the key has a value, and how many attempts
    there were.  `under_way`: the reads that still wait."""

    def __init__(
        self,
        services: Services,
        owner: ReadOwner,
        delivery_buffer: DeliveryBuffer,
        row_repair: RowRepair,
        options: Options,
        put: Callable[[int, Put, bool, int], None],
    ) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._owner, self._delivery_buffer, self._row_repair = owner, delivery_buffer, row_repair
        self._reads = Reads(self._views.address, services.detector)
        self.under_way = self._reads.under_way
        self._read_repairs = ReadRepairs(self._views.address, options.message_bytes_max)
        self._checks = ReadChecks(services, self._read_repairs)
        self.looks = LookFirst(services, self.begin, self._reads.drop, put)

    def __len__(self) -> int:
        return len(self._reads)

    def begin(self, request: int, get: Get, started: float | None = None) -> None:
        """Answer from our own state if that is enough, or ask the nodes that may hold the key."""
        started = self._step.now if started is None else started
        self._step.serve()
        key_hash = key_hash_of(get.key, get.mode is Mode.LWW)
        slot = slot_of(key_hash)
        part, need = self._keyspace.parts.at(slot), need_of(key_hash, self._views, self._keyspace)
        is_sure = part is not None and part.answers and self._views.is_confirmed
        if is_sure and get.copies == 1 and not get.repair:
            try:
                outcome = self._alone(get, need)
            except Damaged as found:  # go on without this replica: ask the others
                self._step.suspect(found)
                outcome = None
            if outcome is not None:
                self._on_read(request, outcome)
                self._checks.after_own(request, get, need)
                return
        owners = self._views.replicas_of(get.key, request)
        history = self._views.history
        holders = tuple(dict.fromkeys((*owners, *history.owners(slot))))
        read = Read(get, need, owners, holders, history.need(), started)
        if part is not None:
            read.add(self._views.address, self._owner.state(request, get.key, get.is_bound))
        for member, fetch in self._reads.begin(request, read, self._step.now):
            self._step.ask(member, fetch)
        if part is not None:
            self._judge(request, read)

    def _alone(self, get: Get, need: Need) -> Outcome | None:
        """The outcome by this replica's own state; None if other nodes must be asked."""
        shown = self._delivery_buffer.shown(get.key) if self._delivery_buffer else None
        if (
            shown
            and get.mode is Mode.LWW
            and not need.to_show(get, shown, self._keyspace.clock_of(get.key))
        ):
            return answer(get, need, shown, self._views.address)
        item = self._keyspace.item(get.key)
        if get.token or get.token.view > need.view or get.mode is Mode.SIBLINGS:
            item = self._keyspace.filled(get.key)
            missing = need.to_show(get, item, self._keyspace.clock_of(get.key))
            if missing:
                return Unmet(missing) if self._is_judged_alone(get) else None
        return answer(get, need, item, self._views.address)

    def _is_judged_alone(self, get: Get) -> bool:
        """Whether the node asks no other for what is missing here: a client of a contract without
        shards wants the state of the very node that it asks."""
        is_refused_at_once = get.scope is Scope.SHARD and not get.wait_s
        return is_refused_at_once and self._views.view.unsharded

    def _on_read(self, request: int, outcome: Outcome | None) -> None:
        """Give an outcome (None: not yet) to the client, or to the write that waits for the
        read."""
        if isinstance(outcome, Unmet):
            self._views.miss((actor, n) for actor, (_, n) in outcome.missing.items())
        self._step.reply(request, self.looks.on_read(request, outcome))

    def on_state(self, source: str, state: State) -> None:
        read = self._reads.get(state.request)
        if not self._keyspace.name:  # the answer is given out under a name
            self._views.take_name(state.name)
        if self._row_repair.has_asked(state.request):  # because this node's own row is damaged
            key = self._row_repair.on_state(source, state)
            if key is not None:
                self.feed(key)
            return
        if read is None:
            self._on_late_state(source, state)
            return
        whole = read.whole_state(source, state)
        if whole is None:
            for member, fetch in self._reads.ask_rest(state.request, read, source, self._step.now):
                self._step.ask(member, fetch)
            return
        if self._reads.wants_pull(read) or read.get.key in self._row_repair.suspects:
            self._take(read.get.key, source, whole)
        read.add(source, whole)
        self._judge(state.request, read)

    def _on_late_state(self, source: str, state: State) -> None:
        """Use a state that comes after the answer: it shows what a shard peer has or lacks."""
        key = self._read_repairs.key_of(state.request)
        if (
            key is not None
            and not state.rest
            and self._views.address in self._views.replicas_of(key, 0)
        ):
            self._take(key, source, state)
            self.feed(key)
        self._repair(self._read_repairs.on_state(state.request, source, state))

    def _take(self, key: str, source: str, state: State) -> None:
        """Merge a state of a shard peer into our own store.  The read goes on even if our row is
        damaged."""
        try:
            self._keyspace.take(key, state.item, (), self._step.now)
        except Damaged as found:
            self._step.suspect(found)
            self._row_repair.offer(key, state.item, source)

    def _repair(self, tells: Tells) -> None:
        for owner, message in tells:
            self._step.tell(owner, message)

    def _judge(self, request: int, read: Read) -> None:
        asks, outcome = self._reads.judge(request, read, self._step.now)
        for member, fetch in asks:
            self._step.ask(member, fetch)
        if outcome is not None and not read.get.repair:
            self._checks.after(request, read)
        elif outcome is not None:
            self._repair(self._read_repairs.begin(request, read, self._step.now))
        self._on_read(request, outcome)

    def feed(self, key: str) -> None:
        """Judge the reads that wait for this key again: it has changed here."""
        if not self.under_way:
            return
        for request, read in self._reads.waiting_for(key):
            if self._reads.get(request) is not read:  # answered by what another read has led to
                continue
            read.add(self._views.address, self._owner.state(request, key, read.get.is_bound))
            self._judge(request, read)

    def restart(self) -> None:
        """Begin all reads again: the states they were sent were complete for another view or a
        lower oldest view."""
        self._read_repairs.forget()
        for request, read in self._reads.restart():
            self.begin(request, read.get, read.started)

    def tick(self) -> None:
        now = self._step.now
        self._read_repairs.tick(now)
        self.looks.tick()
        asks, replies = self._reads.tick(now)
        self._views.doubt(actor for _, fetch in asks for actor in fetch.doubts)
        for member, fetch in asks:
            self._step.ask(member, fetch)
        for request, outcome in replies:
            self._on_read(request, outcome)


class Reads:
    """All reads whose clients wait at this node: which nodes to ask, and what states and time
    decide."""

    def __init__(self, address: str, detector: Detector) -> None:
        self._address = address
        self._detector = detector
        self.under_way = self._reads = dict[int, Read]()

    def __len__(self) -> int:
        return len(self._reads)

    def begin(self, request: int, read: Read, now: float) -> Asks:
        """Ask as many members as the read wants copies of, in the order of preference; a read that
        repairs asks all."""
        self._reads[request] = read
        wanted = len(read.owners)
        if not read.get.repair:
            wanted = min(read.get.copies, wanted) - len(read.complete_senders())
        able = [m for m in read.owners if self._detector.reachable(m, now)]
        fresh = [m for m in able if m not in read.senders]
        return self._ask(request, read, fresh[: max(0, wanted)], now)

    def _ask(
        self,
        request: int,
        read: Read,
        members: list[str],
        now: float,
        doubts: tuple[Actor, ...] = (),
    ) -> Asks:
        read.ask(members, now)
        key, bound = read.get.key, read.get.is_bound
        return [(m, Fetch(request, key, bound, read.have(m), doubts)) for m in members]

    def ask_rest(self, request: int, read: Read, source: str, now: float) -> Asks:
        """Ask for the next piece of a large item."""
        return self._ask(request, read, [source], now)

    def drop(self, request: int) -> None:
        """Forget a read: no client or write waits for it now."""
        self._reads.pop(request, None)

    def get(self, request: int) -> Read | None:
        """The read of this number, if it still waits."""
        return self._reads.get(request)

    def waiting_for(self, key: str) -> list[tuple[int, Read]]:
        """The reads that a change of this key may satisfy."""
        return [(request, read) for request, read in self._reads.items() if read.get.key == key]

    def wants_pull(self, read: Read) -> bool:
        """Whether the states sent for this read should also be stored here.  A read that is refused
        at once stores nothing, unless it repairs."""
        return (read.get.wait_s > 0 or read.get.repair) and self._address in read.owners

    def judge(self, request: int, read: Read, now: float) -> tuple[Asks, Outcome | None]:
        """Answer, ask more nodes, refuse, or go on waiting."""
        missing = read.missing()
        if not missing and read.is_complete():
            return [], self._finish(request, read)
        able = [m for m in read.holders if self._detector.reachable(m, now)]
        unasked = [m for m in able if m not in read.asked and m not in read.senders]
        if unasked and (read.senders or now - read.started >= ASK_AGAIN_S):
            return self._ask(request, read, unasked, now), None
        if unasked and read.is_silent(now):
            return self._ask(request, read, unasked[:1], now), None
        all_answered = all(m in read.senders for m in able) and read.is_enough_to_refuse()
        if missing and all_answered and not read.get.wait_s:
            del self._reads[request]
            return [], self._unmet(read, missing)
        return [], None

    def _unmet(self, read: Read, missing: Missing) -> Outcome:
        """Refuse a read whose token is not covered, or answer it with what there is."""
        if not read.get.stale:
            return Unmet(missing)
        if not read.is_complete():
            reason = "too few replicas of the key's shard answered"
            return Unavailable(reason, definite=True, nodes=tuple(read.senders))
        served_by, reads = self._served_by(read), len(read.senders)
        return stale(read.get, read.need, read.item, missing, served_by, reads)

    def _finish(self, request: int, read: Read) -> Outcome:
        del self._reads[request]
        return answer(read.get, read.need, read.item, self._served_by(read), len(read.senders))

    def _served_by(self, read: Read) -> str:
        complete = read.complete_senders() or list(read.senders)
        return self._address if self._address in complete else min(complete)

    def restart(self) -> list[tuple[int, Read]]:
        """Forget all reads, and return them: they begin again in another view."""
        reads = list(self._reads.items())
        self._reads.clear()
        return reads

    def tick(self, now: float) -> tuple[Asks, list[tuple[int, Outcome]]]:
        """The outcomes at deadlines, and the members to ask again."""
        asks: Asks = []
        replies: list[tuple[int, Outcome]] = []
        for request, read in list(self._reads.items()):
            more, outcome = self.judge(request, read, now)
            outcome = outcome or self._expired(request, read, now)
            if outcome is not None:
                replies.append((request, outcome))
                continue
            due = [member for member in read.asked if read.is_due(member, now)]
            able = [m for m in due if self._detector.reachable(m, now)]
            asks += more + self._ask(request, read, able, now, tuple(read.missing()))
        return asks, replies

    def _expired(self, request: int, read: Read, now: float) -> Outcome | None:
        waited = now - read.started
        missing = read.missing()
        if missing and read.is_enough_to_refuse():
            patience = read.get.wait_s or REFUSED_AFTER_S
            outcome = self._unmet(read, missing)
        elif read.senders:
            patience = max(read.get.wait_s, read.get.timeout_s)
            told = {view for views in read.senders.values() for view in views}
            unheard = ", ".join(str(view) for view in sorted(read.views - told))
            more = f": no node that was reached has all of view {unheard}" if unheard else ""
            reason = f"too few replicas of the key's shard answered{more}"
            outcome = Unavailable(reason, definite=True, nodes=tuple(read.senders))
        else:
            patience = max(read.get.wait_s, read.get.timeout_s)
            if not any(self._detector.reachable(m, now) for m in read.holders):
                patience = min(patience, UNREACHABLE_S)
            outcome = Unavailable("no replica of the key's shard can be reached", definite=True)
        if waited >= patience:
            self._reads.pop(request, None)
        return outcome if waited >= patience else None
