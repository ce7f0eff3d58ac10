"""Past runs of which something is missing, as `closing` finds them in the current view.

Example: n2 has started again, and n1 has the write 7 of its past run and not 6.  n1 refuses that
run and says so in its comparisons.  n2 and n3 refuse it, too.  When all three find that they have
the same of it, and none has 6, they close the run.
"""

from collections.abc import Iterable

from node.core.model.actors import Actor
from node.core.model.dots import Dot, Vector


class Doubts:
    """`refused`: past runs of our shard's members; the node takes nothing of them now.
    `missed`: of each past run of other shards, the last write that is missing here."""

    def __init__(self) -> None:
        self.refused: dict[Actor, None] = {}
        self.missed: Vector = {}

    def on_view(self) -> None:
        """Forget all doubts: the new view's actors have other names."""
        self.refused, self.missed = {}, {}

    def refuse(self, run: Actor) -> None:
        """Refuse a past run, because something of it is missing."""
        self.refused[run] = None

    def wait_for(self, dot: Dot) -> None:
        """Note that this write of another shard's past run is missing."""
        actor, n = dot
        self.missed[actor] = max(n, self.missed.get(actor, 0))

    def keep_only(self, refused: Iterable[Actor], missed: Vector) -> None:
        """Trust all other runs again."""
        self.refused, self.missed = dict.fromkeys(refused), missed
