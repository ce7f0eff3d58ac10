"""One replica of four nodes in two shards, and what its tests send it."""

from random import Random

from msgspec.structs import replace

from node.core.membership.view_history import ViewHistory
from node.core.model.actors import Actor, actor_of
from node.core.model.keys import key_hash_of
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.token import Token
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.frame import Frame
from node.core.protocol.operations import Request
from node.core.replica import Replica, restore
from tests.core.given import OPTIONS, MemoryRows

NOW = 1000.0
NODES = ("a1", "a2", "b1", "b2")
VIEW = first_view(NODES, 2)
PEAR, FIG = "pear", "fig"  # of shards s1 (a1, a2) and s2 (b1, b2)
AHEAD = Token({}, {("x", 4): key_hash_of(PEAR, True)})


class One:
    """One replica whose records are durable at once; a shard peer has heard of it."""

    def __init__(
        self,
        address: str = "a1",
        view: View = VIEW,
        rows: MemoryRows | None = None,
        options: Options = OPTIONS,
    ) -> None:
        self.rows = rows or MemoryRows()
        starts = (self.rows.read("meta", "generation") or b"").decode()
        start, chance = Start(view), Random(f"{address}{starts}")
        self.replica = restore(address, start, self.rows, options, chance)
        views = self.replica.views
        views.is_known = views.is_confirmed = views.is_vouched_for = True
        self.replica.views.take_name()
        self.step(address, events.Tick())
        for peer in view.nodes:
            if peer != address:
                self.step(address, events.LinkUp(peer))

    def step(
        self, source: str, event: events.Event, now: float = NOW, epoch: m.Epoch | None = None
    ) -> Effects:
        """Step with an event; a peer's message comes as a message, by default of our view and
        oldest view.
        """
        if isinstance(event, Frame) and source != self.replica.address:
            event = m.Envelope(epoch or self.replica.views.epoch, event)
        effects = self.replica.step(now, source, event)
        self.rows.apply(list(effects.records))
        return effects

    def actor_in(self, view: ViewId) -> Actor:
        """Return the actor as which this run writes in a view."""
        return actor_of(view, self.replica.node_id, self.replica.views.run)

    def arrive(self) -> None:
        """Let all slots of the replica arrive."""
        self.replica.keyspace.parts.become_complete_for(FIRST)

    def submit(self, operation: Request, request: int = 7, now: float = NOW) -> Effects:
        """Submit a request of a client of this cluster."""
        token = getattr(operation, "token", None)
        if token and not token.name:
            operation = replace(operation, token=replace(token, name=self.replica.keyspace.name))
        return self.step(self.replica.address, events.Submit(request, operation), now)


def replica_of(view: View) -> Replica:
    """Return a replica that has not stepped yet."""
    saved = ViewHistory.begin(view, joining=False)
    return Replica("a1", saved, MemoryRows(), "id", "run", OPTIONS, Random(1))


def alone() -> One:
    return One("a1", first_view(["a1"], 1))
