"""The commands of a conversation that look, and change nothing."""

from abc import ABC, abstractmethod

from node.api.native.key_lists import behind
from node.api.native.watch_position import Clocks
from node.core.model.token import Token
from node.core.protocol.inspection import Explain
from node.core.protocol.operations import Request
from node.core.protocol.watching import ChangesListed, ListChanges
from tests.conversations.stage import Stage

Choices = dict[str, str]


class Looking(ABC):
    """What a play can look at."""

    def __init__(self) -> None:
        self._told = Clocks()  # up to where changes have been told

    @property
    @abstractmethod
    def stage(self) -> Stage:
        """The stage of the play."""

    @abstractmethod
    def token_of(self, session: str) -> Token:
        """What this session depends on."""

    @abstractmethod
    def submit(self, kind: str, node: str, key: str, operation: Request, options: Choices) -> None:
        """Let a client of the node make a request."""

    def on_explain(self, node: str, key: str, by: str = "") -> None:
        """node key [by=session]: why does the key show what it shows?"""
        self.submit("e", node, key, Explain(key, self.token_of(by)), {})

    def on_changes(self, node: str, prefix: str = "", new: str = "") -> None:
        """node [prefix] [new=yes]: what has changed of these keys since this was asked before, at
        any node; new: from now on."""
        if new:
            self._told = Clocks()
        view = self.stage.driver(node).replica.view
        for place in range(len(view.shards)):
            slots = view.slots_of_shard(place)
            for part, clock in self._told.within(slots):
                question = ListChanges(part, prefix, behind(prefix), clock, 0.0, 2.0)
                self.submit("c", node, "", question, {})

    def hear_changes(self, listed: ChangesListed) -> None:
        """Remember up to where changes have been told."""
        for slots, clock in listed.read:
            self._told.replace(slots, [(slots, clock)])

    def on_show(self, node: str, key: str = "") -> None:
        """node [key]: what it holds of the key; without a key, what it knows."""
        stage, replica = self.stage, self.stage.driver(node).replica
        words, keyspace, maintenance = stage.words, replica.keyspace, replica.maintenance
        if key:
            stage.say(f"{node} holds {key}={words.item(keyspace.item(key))}")
            return
        stage.say(f"{node} {'arrived' if maintenance.arrived else 'is arriving'}")
        stage.say(f"  clock {words.clock(keyspace.clock)}")
        for line in words.place(replica):
            stage.say(f"  {line}")
        stage.say(f"  stable {words.vector(keyspace.watermarks.cluster)}")
        stage.say(f"  keys {keyspace.live_keys}")
        stage.say(f"  log {keyspace.log.entries}")
        stage.say(f"  open {len(keyspace.open_keys.unsettled)}")
        stage.say(f"  waiting {sum(replica.waiting().values())}")

    def on_flight(self) -> None:
        """What is on its way."""
        for envelope in self.stage.queue:
            kind = self.stage.words.kind(envelope.message)
            self.stage.say(f"{envelope.source} -> {envelope.target} {kind}")
