"""A world whose replicas only listen, so that only the behaviour of the ports shows."""

from random import Random
from typing import cast

from cluster.simulator.world import SimNode, Watch, World
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.protocol.effects import Effects, Record
from node.core.protocol.events import Event
from node.core.protocol.messages import Envelope, Fetch, Message
from node.core.replica import Replica
from node.core.storage.row_scan import Rows

NEVER = float("inf")


class Listener:
    """Stands in for a replica: remembers events and instants, and causes what it is told to."""

    def __init__(self, address: str, peers: list[str]) -> None:
        self.address = address
        self.peers: list[str] | None = peers
        self.heard: list[tuple[float, str, Event]] = []
        self.records: list[Record] = []
        self.wake_at = NEVER

    def step(self, now: float, source: str, event: Event) -> Effects:
        self.heard.append((now, source, event))
        effects = Effects(records=self.records, wake_at=self.wake_at, peers=self.peers)
        self.records, self.wake_at, self.peers = [], NEVER, None
        return effects

    def fetches(self) -> list[int]:
        """Return the numbers of the fetches that it heard, in the order of their arrival."""
        return [message.request for message in self.messages() if isinstance(message, Fetch)]

    def messages(self) -> list[Message]:
        """Return the messages of other nodes."""
        return [event.message for _, _, event in self.heard if isinstance(event, Envelope)]


class Indifferent:
    """A watch that accepts everything."""

    def on_sent(self, node: SimNode, target: str, envelope: Envelope) -> None:
        pass

    def on_durable(self, node: SimNode, records: object) -> None:
        pass

    def on_forgotten(self, node: SimNode) -> None:
        pass


def listener(address: str, start: Start, rows: Rows, options: Options, chance: Random) -> Replica:
    return cast(Replica, Listener(address, [n for n in start.view.nodes if n != address]))


def quiet_world(nodes: int = 2, seed: int = 1, watch: Watch | None = None) -> World:
    """Return a world of listeners, all up, in fair weather."""
    view = first_view([f"n{i + 1}" for i in range(nodes)], 1)
    told = dict.fromkeys(view.nodes, Start(view))
    world = World(told, Random(seed), watch or Indifferent(), Options(), listener)
    for address in view.nodes:
        world.start(address)
    return world


def heard_by(world: World, address: str) -> Listener:
    driver = world.nodes[address].driver
    assert driver is not None
    return cast(Listener, driver.replica)
