"""One seed from its first draw to its verdict.

Faults, view changes and sessions go on at once.  Then the trial heals everything, and the cluster
must come to rest: one view everywhere and nothing left of older ones, equal replicas, no logs and
marks, every token satisfied by every node, and hardly a message on its way.  Then all power fails,
and the cluster must come to the same rest again.  The causal checker judges the whole history.  A
trial raises ViolationError, or whatever the core raised; one that ends is green.  (protocol D10)
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import NamedTuple

from cluster.checker.check import check
from cluster.checker.history import History, Operation
from cluster.checker.violations import Final, FinalState
from cluster.simulator.core_bounds import options_of
from cluster.simulator.disk_copies import Copying
from cluster.simulator.disk_corruption import DiskCorruption, damaged_nodes
from cluster.simulator.foreign_clients import ForeignClients
from cluster.simulator.hint_rules import HintMonitor
from cluster.simulator.hinted import with_room
from cluster.simulator.idle_talk import allowed_at_rest
from cluster.simulator.invariants import ViolationError
from cluster.simulator.item_sizes import sized
from cluster.simulator.key_counts import KeyCounts
from cluster.simulator.keys import mode_of
from cluster.simulator.lost_views import went_above
from cluster.simulator.merged_clients import MergedClients
from cluster.simulator.nemesis import Nemesis, Swarm, spares_of, swarm_of
from cluster.simulator.operator_notes import judge_notes
from cluster.simulator.policy_changes import PolicyChanges
from cluster.simulator.random_layouts import start_of
from cluster.simulator.sessions import Session, token_of
from cluster.simulator.workload import Workload
from cluster.simulator.world import World
from node.core import status
from node.core.model.actors import view_of
from node.core.model.conditions import Mode
from node.core.model.keys import row_of, slot_of_key
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.token import encode
from node.core.model.view import View
from node.core.protocol.operations import Get, Outcome
from node.core.replica import Replica
from node.core.requests.read_answer import shown_versions
from node.core.storage.content_hash import MODULUS, version_hash_of

WARM_UP_S = 0.5
REST_WITHIN_S = 60.0
LOOK_EVERY_S = 1.0
FINAL_ANSWER_S = 4.0
LOOK_OFTEN_S = 0.1
RESTART_S = 6.0
IDLE_S, IDLE_COUNTED_S = 10.0, 9.5
TOKEN_AT_REST_BYTES_MAX = 100
AT_REST = (("store", "log"), ("store", "open_items"), ("hints", "kept"))  # of a status: zero

States = dict[str, dict[str, FinalState]]


class Figures(NamedTuple):
    """What a green trial did."""

    operations: int
    ok: int
    rest_s: float
    digest: int
    reached: Counter[str]  # messages, answers and corner cases, with their numbers


class Trial:
    """A run of one seed; `world`, `swarm`, `options` and `history` are there for the report."""

    def __init__(self, seed: int, hold_s: float = 0.0) -> None:
        random = Random(seed)
        self.swarm: Swarm = swarm_of(random)
        nodes = [f"n{i + 1}" for i in range(self.swarm.nodes)]
        view = first_view(nodes, self.swarm.shards)
        self._spares = spares_of(self.swarm)
        spares = {address: start_of(spare, view) for address, spare in self._spares.items()}
        told = dict.fromkeys(nodes, Start(view)) | spares
        self._monitor = HintMonitor(view, self._spares)
        self.options = with_room(sized(options_of(self.swarm.limits, hold_s), seed), seed)
        self._monitor.message_bytes_max = self.options.message_bytes_max
        self.world = World(told, random, self._monitor, self.options)
        self._nemesis = Nemesis(self.world, self.swarm, self._monitor)
        room, has_all = self.swarm.limits.log_entries, self._nemesis.has_all
        self._corruption = DiskCorruption(self.world, self._monitor, seed, room, has_all)
        self._copying = Copying(self.world, self._monitor, seed, has_all)
        self._monitor.damaged_nodes = lambda: damaged_nodes(self.world)
        self._monitor.now = lambda: self.world.timeline.now
        self._workload = Workload(self.world, self.swarm, self._monitor, seed)
        drawn = self.world, self._monitor, seed, self._workload.keys
        self._foreign_clients = ForeignClients(*drawn)
        self._policy_changes = PolicyChanges(*drawn, self.swarm.skew_s)
        self._merged = MergedClients(*drawn[:3], self.swarm.skew_s)
        self._keys = [*self._workload.keys, *self._merged.keys]
        self._timeline = self.world.timeline

    @property
    def history(self) -> History:
        return self._workload.history

    def run(self) -> Figures:
        """Play the seed; raise ViolationError at the first broken promise."""
        faults = (
            self._nemesis, self._corruption, self._copying, self._foreign_clients,
            self._policy_changes, self._merged,
        )  # fmt: skip
        for fault in faults:
            fault.begin()
        self._timeline.run(WARM_UP_S)
        self._workload.begin()
        self._timeline.run(self.swarm.faulty_s)
        self._workload.stop()
        for fault in faults:
            fault.heal()
        self._timeline.run(self.world.drained_at())
        healed = self._timeline.now
        self._come_to_rest()
        rest_s = self._timeline.now - healed
        self._demand()
        self._read_afresh()
        self._idle()
        states = self._states()
        self._fail_power()
        self._come_to_rest()
        self._demand()
        if (after := self._states()) != states:
            changed = [f"{key}: {states[key]}, then {after[key]}" for key in states]
            raise ViolationError("LostInPowerCut", "; ".join(changed))
        self._judge(states)
        judge_notes(self._monitor, self.world.voice.notes)
        digest, reached = self.world.trace.digest, self._monitor.reached
        ok = sum(operation.status == "ok" for operation in self.history)
        return Figures(len(self.history), ok, rest_s, digest, reached)

    def _demand(self) -> None:
        """Demand what a client may demand of every node at rest."""
        if went_above(self.world, self._monitor, self._view(), self._workload.sessions):
            self._come_to_rest()
        self._read_everywhere()
        self._count_keys()
        self._foreign_clients.demand_refusal(self._told(), self._until)
        self._policy_changes.demand(self._told())
        self._merged.demand(self._view())

    # ------------------------------------------------------------------ rest
    def _come_to_rest(self) -> None:
        deadline = self._timeline.now + REST_WITHIN_S
        while unrest := self._unrest():
            if self._timeline.now >= deadline:
                raise ViolationError("NotAtRest", f"after {REST_WITHIN_S} s: {'; '.join(unrest)}")
            self._timeline.run(self._timeline.now + LOOK_EVERY_S)

    def _replica(self, address: str) -> Replica:
        driver = self.world.nodes[address].driver
        assert driver is not None, f"{address} is down"
        return driver.replica

    def _told(self) -> list[str]:
        """Return the nodes that must be in the highest view.

        They are the nodes that a chain of links connects with it, over nodes that may tell of
        views.  No node tells a node that knows no other and that no view names, nor a node with a
        new disk whose settings name only nodes that have left the view or have forgotten
        everything.
        """
        views = {address: self._replica(address).view for address in self.world.nodes}
        newest = max(view.id for view in views.values())
        told = [address for address in views if views[address].id == newest]
        for address in told:
            if self._replica(address).views.is_waited_for():
                told += [a for a in views if a not in told and self.world.is_linked(a, address)]
        return told

    def _view(self) -> View:
        """Return the highest view that a node is in; at rest there is no other."""
        views = (self._replica(address).view for address in self._told())
        return max(views, key=lambda view: view.id)

    def _unrest(self) -> list[str]:
        """Say what keeps the cluster from being at rest, if anything does."""
        if suffering := damaged_nodes(self.world):
            return [f"{address} has rows that are damaged" for address in suffering]
        if busy := [address for address in self.world.nodes if self._replica(address).is_over]:
            return [f"{address} is forgetting everything" for address in busy]
        view = self._view()
        found = [problem for address in self._told() for problem in self._unrest_of(address, view)]
        for key, replicas in self._states().items():
            if len(set(replicas.values())) > 1:
                found.append(f"replicas of {key} differ: {replicas}")
        return found or list(self._unlike_hashes(view))

    def _unlike_hashes(self, view: View) -> Iterator[str]:
        """List the replicas of a shard whose hash is not that of the versions of its keys."""
        for shard in view.shards:
            keys = [key for key in self._keys if view.shard_of(slot_of_key(key)) is shard]
            for member in shard.members:
                replica = self._replica(member)
                dots = [(key, dot) for key in keys for dot in replica.peek(key).versions]
                total = sum(version_hash_of(row_of(key), dot) for key, dot in dots)
                content = status.content(replica)
                if content is None or int(content, 16) != total % MODULUS:
                    yield f"{member} has the hash {content} of other versions than {dots}"

    def _unrest_of(self, address: str, view: View) -> Iterator[str]:
        replica, now = self._replica(address), self._timeline.now
        if replica.view.id != view.id:
            yield f"{address} is in view {replica.view.id}, not {view.id}"
        movement = status.movement(replica, now)
        if not movement["settled"]:
            yield f"{address} has not settled: {movement}"
        told = status.status(replica, now)
        yield from (f"{address} has {told[of][n]} {of} {n}" for of, n in AT_REST if told[of][n])
        if exchange := replica.maintenance.repair.exchange:
            yield f"{address} pulls from {exchange.holder}"
        if not replica.maintenance.row_repair.is_idle or replica.waiting()["writes"]:
            yield f"{address} makes rows whole or counts them, or has a write under way"
        if view.shard_with(address) and replica.keyspace.expiry:
            yield f"{address} has values that expire"
        shadow = self._monitor.shadows[address]
        yield from (f"{address} keeps the past of {key}" for key in shadow.pasts())
        if shadow.slots != view.slots_of(address):
            yield f"{address} does not hold just the slots that it owns"
        old = [actor for actor in shadow.actors() if view_of(actor) < view.id]
        yield from (f"{address} has a clock entry of {actor}" for actor in old)

    def _states(self) -> States:
        view = self._view()
        return {
            key: {each: self._state(each, key) for each in view.shard_of(slot_of_key(key)).members}
            for key in self._workload.keys
        }

    def _state(self, address: str, key: str) -> FinalState:
        item = self._replica(address).peek(key)
        shown = shown_versions(Mode(mode_of(key)), item)
        values = tuple(sorted((version.value or b"").decode() for version in shown.values()))
        dots = tuple(sorted(item.versions))
        return FinalState(values, dots, self._monitor.marks_among(dots))

    # ------------------------------------------------------------------ last questions
    def _read_everywhere(self) -> None:
        """Demand that every node answers for every key, whatever the sessions depend on."""
        sessions = self._workload.sessions
        pairs = [(key, address) for key in self._workload.keys for address in self._told()]
        open_reads = [(*pair, sessions[i % len(sessions)]) for i, pair in enumerate(pairs)]
        deadline = self._timeline.now + REST_WITHIN_S
        while open_reads:
            reads = [self._read(*read) for read in open_reads]
            self._until(partial(_are_answered, reads))
            failed = [i for i, read in enumerate(reads) if read.status != "ok"]
            if failed and self._timeline.now > deadline:
                raise ViolationError("Stuck", f"at rest, {reads[failed[0]]} is not answered")
            open_reads = [open_reads[i] for i in failed]

    def _until(self, is_over: Callable[[], bool]) -> bool:
        """Let time go on until the condition holds, or for too long; return whether it holds."""
        deadline = self._timeline.now + FINAL_ANSWER_S
        while not (over := is_over()) and self._timeline.now < deadline:
            self._timeline.run(self._timeline.now + LOOK_OFTEN_S)
        return over

    def _read(self, key: str, address: str, session: Session) -> Operation:
        get = Get(key, Mode(mode_of(key)), token_of(session.token), wait_s=2.0)
        return self._workload.read(session, key, address, get)

    def _read_afresh(self) -> None:
        """Demand that a new session at rest soon gets tokens with next to nothing in them."""
        deadline = self._timeline.now + REST_WITHIN_S
        while complaints := self._carried_at_rest():
            if self._timeline.now > deadline:
                raise ViolationError("TokenStays", f"at rest, {complaints[0]}")
            self._timeline.run(self._timeline.now + FINAL_ANSWER_S)

    def _carried_at_rest(self) -> list[str]:
        complaints: list[str] = []
        questions = [(key, address) for key in self._workload.keys for address in self._told()]
        answered = 0

        def judge(key: str, outcome: Outcome) -> None:
            nonlocal answered
            answered += 1
            token = getattr(outcome, "token", None)
            if token is None or len(encode(token)) > TOKEN_AT_REST_BYTES_MAX:
                complaints.append(f"a read of {key} is answered {outcome}")

        for key, address in questions:
            self.world.submit(address, Get(key, Mode(mode_of(key))), partial(judge, key))
        if not self._until(lambda: answered == len(questions)):
            complaints.append(f"{len(questions) - answered} reads are not answered")
        return complaints

    def _count_keys(self) -> None:
        """Demand that every node counts the live keys of each shard."""
        counts = KeyCounts(self.world, self._view(), self._keys)
        counts.ask(self._told())
        self._until(counts.are_answered)
        counts.judge()

    def _idle(self) -> None:
        """Demand that at rest no node lacks anything, and that nodes hardly talk."""
        replicas = [self._replica(address) for address in self.world.nodes]
        self._until(lambda: not any(sum(each.waiting().values()) for each in replicas))
        self._timeline.run(max(self._timeline.now, self.world.drained_at()))  # answers on their way
        reached, until = self._monitor.reached, self._timeline.now + IDLE_S
        pulls = -reached["Pull"]
        self._timeline.run(until - IDLE_COUNTED_S)  # answers to what was on its way
        before = self.world.bytes_delivered
        self._timeline.run(until)
        if pulls := pulls + reached["Pull"]:
            raise ViolationError("Restless", f"{pulls} pulls at rest")
        every_s, nodes = self.swarm.limits.repair_every_s, len(self.world.nodes)
        refused = any(self._replica(a).views.refused() for a in self.world.nodes)
        if every_s >= Options().repair_every_s and not refused:  # or they talk of disks and runs
            bytes_a_second = (self.world.bytes_delivered - before) / IDLE_COUNTED_S / nodes
            if bytes_a_second > allowed_at_rest(self._view(), nodes, self.swarm.changes > 0):
                raise ViolationError("Restless", f"{bytes_a_second:.0f} bytes/s a node at rest")

    # ------------------------------------------------------------------ the verdict
    def _judge(self, states: States) -> None:
        self._monitor.second_homes.mark(self.history)
        for found in check(
            self.history,
            Final(states),
            excused=self._workload.excuses,
            by_context=True,
            names=self._workload.native.names(),
        ):
            raise ViolationError(found.kind, found.text)
        self._workload.native.demand(self.history, states, self._workload.excuses)

    def _fail_power(self) -> None:
        """Fail all power at once; afterwards demand what was there before."""
        for address in self.world.nodes:
            self.world.crash(address)
        for address in self.world.nodes:
            self.world.start(address)
        self._timeline.run(self._timeline.now + RESTART_S)


def _are_answered(reads: list[Operation]) -> bool:
    return all(read.ended is not None for read in reads)
