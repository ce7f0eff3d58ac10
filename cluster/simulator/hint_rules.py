"""Checks of hints, beside those of all other messages and rows.

* A hint, and what is said of it, leaves a node only when the node's disk has it.
* When a client hears of hints, so many are on disks, or were.
* A hint goes when the owners that are to have it have its write: its target, or all present owners
  if it is of an older view; or when the write is below the oldest view.

A write may be lost with the disk of its home before an owner has it, and its incarnation is over
then.  Owners take nothing of such an incarnation from hints, so these may go.  (protocol P-3.)
"""

from collections.abc import Iterable, Sequence

from cluster.simulator.disk_shadow import Shadow
from cluster.simulator.invariants import VIEWS, InvariantMonitor, ViolationError
from cluster.simulator.second_homes import SecondHomes
from cluster.simulator.world import SimNode
from node.core.model.actors import view_of
from node.core.model.dots import Dot
from node.core.model.view import View
from node.core.protocol.effects import Record
from node.core.protocol.hints import HandOver, Hint, Hinted, TakenOver
from node.core.protocol.messages import Envelope
from node.core.protocol.operations import Put, Stored
from node.core.storage.hints import SavedHint


class HintMonitor(InvariantMonitor):
    """Watches a world, and its hints."""

    def __init__(self, view: View, machines: Iterable[str] = ()) -> None:
        super().__init__(view, machines)
        self.second_homes = SecondHomes()
        self._taken: set[tuple[str, Dot]] = set()  # told by these owners, truly

    # ------------------------------------------------------------------ disks
    def on_durable(self, node: SimNode, records: Sequence[Record]) -> None:
        super().on_durable(node, records)
        shadow = self.shadows[node.address]
        for record in records:
            if record.key == "views" and record.value:
                shadow.oldest_view = VIEWS.decode(record.value).oldest_view
        forgets = any((r.table, r.key, r.value) == ("meta", "node", None) for r in records)
        for hint in () if forgets else shadow.dropped:
            self._judge_dropped(node, shadow, hint)

    def _judge_dropped(self, node: SimNode, shadow: Shadow, hint: SavedHint) -> None:
        key, dot = hint.key, hint.dot
        if view_of(dot[0]) < shadow.oldest_view:
            self.reached["hint below the oldest view dropped"] += 1
            return
        newest = max(shadow.views)
        is_old = view_of(dot[0]) < newest
        wanted = self._owners(self.views[newest], key) if is_old else (hint.target,)
        lacking = [owner for owner in wanted if not self._counts_as_had(owner, key, dot)]
        if lacking and self._may_be_over(dot):
            self.reached["hint of a lost incarnation dropped"] += 1
        elif lacking:
            detail = f"{node.address} drops {dot} of {key}, which {lacking} should have first"
            raise ViolationError("HintDroppedTooEarly", detail)
        else:
            self.reached["hint of an older view taken" if is_old else "hint taken"] += 1

    def _counts_as_had(self, owner: str, key: str, dot: Dot) -> bool:
        """Whether an owner has or had this write; or had what has replaced it, when it said so, and
        has left its slot to others since."""
        return (owner, dot) in self._taken or self._has_or_had(owner, key, dot)

    def _may_be_over(self, dot: Dot) -> bool:
        """Whether a disk with this write was lost, or put back as it was."""
        return any(dot in old.ever for each in self._wiped.values() for old in each)

    # ------------------------------------------------------------------ letters
    def on_sent(self, node: SimNode, target: str, envelope: Envelope) -> None:
        super().on_sent(node, target, envelope)
        self.second_homes.see(envelope.message)
        message, shadow = envelope.message, self.shadows[node.address]
        if isinstance(message, Hint):
            self._judge_item(node, message.key, message.item)
        elif isinstance(message, Hinted):
            if (message.target, message.dot) not in shadow.hinted:
                raise ViolationError("SentTooEarly", f"{node.address} keeps no hint {message}")
        elif isinstance(message, HandOver):
            if all(dot != message.dot for _, dot in shadow.hinted):
                raise ViolationError("SentTooEarly", f"{node.address} keeps no hint {message}")
        elif isinstance(message, TakenOver) and shadow.vouches_for(message.dot):
            self._taken.add((node.address, message.dot))
            self.reached["TakenOver by an owner that has it"] += 1

    # ------------------------------------------------------------------ what a client hears
    def on_stored(self, put: Put, stored: Stored) -> None:
        super().on_stored(put, stored)
        if not stored.hints:
            return
        self.reached["write answered with hints"] += 1
        disks = [*self.shadows.values(), *(old for each in self._wiped.values() for old in each)]
        kept = {target for disk in disks for target, dot in disk.hinted if dot == stored.dot}
        if not put.hinted or len(kept) < stored.hints:
            raise ViolationError("FalseHint", f"{stored}, and disks keep it for {kept}")
