"""Keys that clients of the native API work on, by the policy that their node follows.

These are the keys of siblings in runs in which policies are set; the others are those of contracts,
which follow no policy.  A client sends its context, or says that it has seen nothing, or says
nothing.  Then the policy decides what its write replaces, or refuses it, and the client sends it
again with what it has seen.  What the node applies is judged by the policies that the monitor has
heard under the id of the node's view.
"""

from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from cluster.checker.history import Kind, Mode as KeyMode, Operation
from cluster.simulator import policy_changes
from cluster.simulator.invariants import InvariantMonitor, ViolationError
from cluster.simulator.lifetimes import Lifetimes
from cluster.simulator.timeline import WALL_S
from cluster.simulator.world import World
from node.core.model.conditions import Mode, RefuseWhen
from node.core.model.keys import slot_of_key
from node.core.model.policies import Policy, policy_of
from node.core.model.policy_rules import expiry_of, mode_of_write, shown_as
from node.core.model.quorum import wanted
from node.core.protocol.operations import Get, Put, Stored

SILENT = 0.4  # the share of writes whose client does not say what it has seen
NOTHING = 0.3  # of the other writes: the client says that it has seen nothing
BY_POLICY = 0.5  # the share of requests that leave their level to the policy


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
        self._must_not_be_taken: set[int] = set()

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

    def get(self, ruling: Ruling, address: str, get: Get) -> Get:
        """Return what the API makes of this read."""
        copies = get.copies
        if self._random.random() < BY_POLICY:
            copies = wanted(ruling.followed.r, self._copies(address, get.key))
        return replace(
            get,
            mode=shown_as(ruling.followed),
            copies=copies,
            repair=copies > 1,
            check=get.check and copies == 1,
            raw=True,
        )

    def judge_read(self, read: Operation, values: tuple[str, ...]) -> None:
        """Demand one value where the policy says so."""
        if read.mode == "latest" and len(values) > 1:
            raise ViolationError("SiblingsShown", f"#{read.id} shows {values}")

    def _copies(self, address: str, key: str) -> int:
        driver = self._world.nodes[address].driver
        assert driver is not None, f"{address} is down"
        view = driver.replica.view
        return len(view.shard_of(slot_of_key(key)).members) if view.shards else 1

    # ------------------------------------------------------------------ writes
    def said(self, kind: Kind, context: tuple[bytes, int] | None) -> Said:
        """Draw what a client says; one that deletes says what it has seen, or says nothing."""
        if self._random.random() < SILENT:
            return Said(None, is_silent=True)
        return self.said_at_last(kind, context)

    def said_at_last(self, kind: Kind, context: tuple[bytes, int] | None) -> Said:
        """Draw what a client says whose policy wants to know."""
        if context is None or (kind == "put" and self._random.random() < NOTHING):
            return Said(None, is_silent=kind == "delete")
        return Said(context)

    def mode_of_write(self, ruling: Ruling, kind: Kind, said: Said) -> Mode | None:
        """Return what the node lets the write replace; None: the node refuses it."""
        return mode_of_write(
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
            expires = expiry_of(followed, WALL_S + operation.started)
            if promised.ttl_s:
                self._lifetimes.expect(operation, promised.ttl_s)
        refuse_when = put.refuse_when
        if not refuse_when.asks_for_tag:
            shown = shown_as(followed)
            refuse_when = RefuseWhen(absent=operation.kind == "delete", shown_as=shown)
        level = followed.w if self._random.random() < BY_POLICY else put.level
        return replace(put, mode=mode, level=level, expires=expires, refuse_when=refuse_when)

    def judge_write(self, write: Operation, stored: Stored) -> None:
        """Demand that a write was not taken whose policy refuses it."""
        if write.id in self._must_not_be_taken:
            raise ViolationError("BlindWriteTaken", f"#{write.id} is stored as {stored.dot}")
