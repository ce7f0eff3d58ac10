"""A world with replicas that only listen: what the ports do shows, and nothing else does."""

from random import Random
from typing import cast

from cluster.simulation import Node, Watch, World
from node.core.effects import Effects, Record
from node.core.keyspace import Rows
from node.core.messages import Event, Fetch, Message
from node.core.replica import Options, Replica
from node.core.view import View, first_view

NEVER = float("inf")


class Listener:
    """In place of a replica: remembers each event and its instant, causes what it is told to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[tuple[float, str, Event]] = []
        self.records: list[Record] = []
        self.wake_at = NEVER

    def step(self, now: float, source: str, event: Event) -> Effects:
        self.heard.append((now, source, event))
        effects = Effects(records=self.records, wake_at=self.wake_at)
        self.records, self.wake_at = [], NEVER
        return effects

    def fetches(self) -> list[int]:
        """The numbers of the fetches heard, in the order of their arrival."""
        return [event.request for _, _, event in self.heard if isinstance(event, Fetch)]


class Indifferent:
    """A watch that finds everything right."""

    def on_sent(self, node: Node, target: str, message: Message) -> None:
        pass

    def on_durable(self, node: Node, records: object) -> None:
        pass


def listener(address: str, view: View, rows: Rows, options: Options, chance: Random) -> Replica:
    return cast(Replica, Listener(address))


def quiet_world(nodes: int = 2, seed: int = 1, watch: Watch | None = None) -> World:
    """A world of listeners, all up, in fair weather."""
    view = first_view([f"n{i + 1}" for i in range(nodes)], 1)
    world = World(view, Random(seed), watch or Indifferent(), Options(), listener)
    for address in view.nodes:
        world.start(address)
    return world


def heard_by(world: World, address: str) -> Listener:
    driver = world.nodes[address].driver
    assert driver is not None
    return cast(Listener, driver.replica)
