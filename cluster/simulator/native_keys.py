"""Keys that clients of the native API work on, by the policy that their node follows.

These are the keys of siblings in runs in which policies are set; the others are those of contracts,
which follow no policy.  A client sends its context, or says that it has seen nothing, or says
nothing.  Then the policy decides what its write replaces, or refuses it, and the client sends it
again with what it has seen.  What the node applies is judged by the policies that the monitor has
heard under the id of the node's view.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from cluster.checker.history import Dot, History, Kind, Mode as KeyMode, Operation
from cluster.checker.violations import FinalState
from cluster.simulator import merged_values, policy_changes
from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.keys import value_of
from cluster.simulator.lifetimes import Lifetimes
from cluster.simulator.timeline import WALL_S
from cluster.simulator.world import World
from node.core.model import policy_rules
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.keys import slot_of_key
from node.core.model.policies import Policy, policy_of
from node.core.model.quorum import wanted
from node.core.protocol.operations import Found, Get, Put, Stored

SILENT = 0.4  # the share of writes whose client does not say what it has seen
NOTHING = 0.3  # of the other writes: the client says that it has seen nothing
BY_POLICY = 0.5  # the share of requests that leave their level to the policy
CAREFUL = 0.5  # the share of runs in which elements of arrays stay


def is_careful(seed: int) -> bool:
    """Whether no client of this run deletes an array, or writes one without saying what it has
    seen."""
    return Random(f"careful {seed}").random() < CAREFUL


States = dict[str, dict[str, FinalState]]  # key -> node


class Ruling(NamedTuple):
    """The policy of a key that a node follows, and the one that its view has."""

    followed: Policy
    promised: Policy


class Said(NamedTuple):
    """What a client says that it has seen of a key: a context, or nothing at all (`is_silent`), or
    that it has seen nothing."""

    context: tuple[bytes, int] | None
    is_silent: bool = False


class NativeKeys:
    """The draws of one run."""

    def __init__(
        self, world: World, monitor: InvariantMonitor, seed: int, lifetimes: Lifetimes
    ) -> None:
        self._world, self._monitor, self._lifetimes = world, monitor, lifetimes
        self._random = Random(f"native keys of {seed}")
        self._are_there = policy_changes.is_drawn(seed)
        self._is_careful = is_careful(seed)
        self._must_not_be_taken: set[int] = set()
        self._read_by: dict[int, Ruling] = {}

    def value_of(self, number: int, key: str, seen: Operation | None) -> str:
        """Return the value of this write, whose client has seen what another operation says."""
        return merged_values.value_of(number, key, seen) if self.has(key) else value_of(number)

    def kind_of(self, kind: Kind, key: str) -> Kind:
        """Return what a client does that would do this."""
        return "put" if kind == "delete" and self._is_kept(key) else kind

    def _is_kept(self, key: str) -> bool:
        return self._is_careful and merged_values.is_of_arrays(key)

    def demand(
        self, history: History, states: States, is_excused: Callable[[Operation], bool]
    ) -> None:
        """Demand that every element is there that was acknowledged and that nothing has removed: no
        value has expired, and no client was shown one array of several."""
        for key in filter(self._is_kept, filter(self.has, states)):
            done = [each for each in history if each.key == key]
            writes = [each for each in done if each.writes]
            if any(map(self._lifetimes.ends, writes)) or any(e.mode == "latest" for e in done):
                continue
            stored = {each.id for each in writes if each.status == "ok" and not is_excused(each)}
            for address, state in states[key].items():
                if lost := stored - merged_values.elements_of(state.values):
                    detail = f"{key} at {address} has no more the elements {sorted(lost)}"
                    raise ViolationError("ElementLost", detail)
            self._monitor.reached["arrays that keep their elements"] += bool(stored)

    def names(self) -> dict[Dot, str]:
        """Return the values of all versions by their dots, where reads may have hidden some."""
        return self._monitor.values_by_name() if self._are_there else {}

    def has(self, key: str) -> bool:
        return self._are_there and key.startswith("s")

    def ruling(self, address: str, key: str) -> Ruling:
        """Return the policy by which a node that is up treats a key now."""
        driver = self._world.nodes[address].driver
        assert driver is not None, f"{address} is down"
        view = driver.replica.view
        known = self._monitor.views.get(view.id, view)
        return Ruling(policy_of(view.policies, key), policy_of(known.policies, key))

    # ------------------------------------------------------------------ reads
    def mode_of_read(self, ruling: Ruling) -> KeyMode:
        return "latest" if ruling.promised.merge == "lww" else "siblings"

    def get(self, ruling: Ruling, read: Operation, get: Get) -> Get:
        """Return what the API makes of this read, and note by which policy."""
        self._read_by[read.id] = ruling
        copies = get.copies
        if self._random.random() < BY_POLICY:
            copies = wanted(ruling.followed.r, self._copies(read.node, get.key))
        return replace(
            get,
            mode=policy_rules.shown_as(ruling.followed),
            copies=copies,
            repair=copies > 1,
            check=get.check and copies == 1,
            raw=True,
        )

    def judge_read(self, read: Operation, found: Found) -> None:
        """Demand one value where the policy says so, or values that it can merge."""
        if read.mode == "latest" and len(found.values) > 1:
            raise ViolationError("SiblingsShown", f"#{read.id} shows {found.values}")
        if ruling := self._read_by.get(read.id):
            merged_values.judge(*ruling, read, found)

    def _copies(self, address: str, key: str) -> int:
        driver = self._world.nodes[address].driver
        assert driver is not None, f"{address} is down"
        view = driver.replica.view
        return len(view.shard_of(slot_of_key(key)).members) if view.shards else 1

    # ------------------------------------------------------------------ writes
    def said(self, kind: Kind, key: str, context: tuple[bytes, int] | None) -> Said:
        """Draw what a client says; one that deletes says what it has seen, or says nothing."""
        if self._random.random() < SILENT and not self._is_kept(key):
            return Said(None, is_silent=True)
        return self.said_at_last(kind, context)

    def said_at_last(self, kind: Kind, context: tuple[bytes, int] | None) -> Said:
        """Draw what a client says whose policy wants to know."""
        if context is None or (kind == "put" and self._random.random() < NOTHING):
            return Said(None, is_silent=kind == "delete")
        return Said(context)

    def mode_of_write(self, ruling: Ruling, kind: Kind, said: Said) -> Mode | None:
        """Return what the node lets the write replace; None: the node refuses it."""
        return policy_rules.mode_of_write(
            ruling.followed,
            has_context=not said.is_silent,
            has_condition=False,
            deletes=kind == "delete",
        )

    def recorded_mode(self, ruling: Ruling, said: Said) -> KeyMode:
        """Return what the write may replace by the policy of the view."""
        is_free = said.is_silent and ruling.promised.blind == "replace"
        return "latest" if is_free else "siblings"

    def put(self, ruling: Ruling, said: Said, mode: Mode, operation: Operation, put: Put) -> Put:
        """Return what the API makes of this write, and note what is expected of it."""
        followed, promised = ruling
        if said.is_silent and promised.blind == "refuse":
            self._must_not_be_taken.add(operation.id)
        expires = put.expires
        if operation.kind == "put" and not expires:
            expires = policy_rules.expiry_of(followed, WALL_S + operation.started)
            if promised.ttl_s:
                self._lifetimes.expect(operation, promised.ttl_s)
        refuse_when = put.refuse_when
        if not refuse_when.asks_for_tag:
            shown = policy_rules.shown_as(followed)
            refuse_when = RefuseWhen(absent=operation.kind == "delete", shown_as=shown)
        level = followed.w if self._random.random() < BY_POLICY else put.level
        return replace(put, mode=mode, level=level, expires=expires, refuse_when=refuse_when)

    def judge_write(self, write: Operation, stored: Stored) -> None:
        """Demand that a write was not taken whose policy refuses it."""
        if write.id in self._must_not_be_taken:
            raise ViolationError("BlindWriteTaken", f"#{write.id} is stored as {stored.dot}")
