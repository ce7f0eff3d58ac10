"""The writes that all replicas have: tokens, logs and delete marks need not name them any more.

Three replicas a, b, c of one shard; `a: 5` says "every write of a up to its fifth":

    a has {a: 9, b: 4}    b has {a: 7, b: 4}    c has {a: 7, b: 3}
    shard         {a: 7, b: 3}     what every member has
    highest_seen  {a: 9, b: 4}     how far each had written by then
    cluster       joins the `shard` of every shard, as nodes tell each other

Each field is set by the methods here alone.  (protocol D6, D9.8.)
"""

from typing import NamedTuple

from node.core.model.actors import Actor, view_of
from node.core.model.dots import Vector, covered_by, join_vectors
from node.core.model.view import FIRST, ViewId


class _Moment(NamedTuple):
    """What was known at one moment: what all members had, how far each had written, and the view
    below which all members had said that they have everything."""

    had: Vector
    seen: Vector
    below: ViewId


NO_MOMENT = _Moment({}, {}, FIRST)


class Watermarks:
    """The bounds that one replica knows.

    `shard`: every member of its shard durably has this, by what they have told.
    `highest_seen`: how far each member had written when `shard` was taken; never below it.
    `cluster`: every replica that may hold it has this.  It only grows within a view.
    `lost`: past incarnations and runs that are closed here and everywhere: had, or gone for good.
    `oldest_view`: every actor of a view below counts as known.
    `settled`: every member had this at an earlier moment, and has by now all that any member had
    written by then.  So no member wrote anything without knowing it that is not here.
    """

    def __init__(self) -> None:
        self.shard: Vector = {}
        self.highest_seen: Vector = {}
        self.cluster: Vector = {}
        self.lost: Vector = {}
        self.oldest_view: ViewId = FIRST
        self.settled = self._next = NO_MOMENT

    def on_view(self, oldest_view: ViewId) -> None:
        """Begin a view: nothing is known of what its members have."""
        self.shard, self.highest_seen, self.lost = {}, {}, {}
        self.oldest_view = oldest_view
        self.settled = self._next = NO_MOMENT

    def take(self, shard: Vector, highest_seen: Vector, lost: Vector) -> None:
        """Take what the members of the shard say now, all of it read at one moment."""
        self.shard, self.highest_seen, self.lost = shard, highest_seen, lost
        self.cluster = join_vectors(join_vectors(self.cluster, shard), lost)

    def merge(self, cluster: Vector) -> None:
        """Add what another node says that every replica has, without actors of retired views."""
        kept = {a: n for a, n in cluster.items() if view_of(a) >= self.oldest_view}
        self.cluster = join_vectors(self.cluster, kept)

    def forget_shard(self) -> None:
        """Forget what all members have, since one of them has a new incarnation."""
        self.shard = {}

    def retire_below(self, oldest_view: ViewId) -> None:
        """Drop the actors of views below this one, which are retired."""
        self.oldest_view = oldest_view
        self.cluster = {a: n for a, n in self.cluster.items() if view_of(a) >= oldest_view}

    def settle(self, below: ViewId) -> None:
        """Note that this moment has come.  When all members told their clocks last, they knew that
        the views below this one are retired."""
        if all(self.all_have(actor, n) for actor, n in self._next.seen.items()):
            self.settled = self._next
            had = join_vectors(self.shard, self.lost)
            self._next = _Moment(had, dict(self.highest_seen), below)

    def is_settled(self, actor: Actor, n: int) -> bool:
        """Whether every member knows this dot, and this one all that was written without it."""
        is_below = view_of(actor) < self.settled.below
        return is_below or n <= covered_by(self.settled.had, actor)

    def all_have(self, actor: Actor, n: int) -> bool:
        """Whether every member has this dot, or none ever will."""
        is_retired = self.oldest_view > FIRST and view_of(actor) < self.oldest_view
        return is_retired or n <= max(self.shard.get(actor, 0), covered_by(self.lost, actor))
