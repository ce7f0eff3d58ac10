"""A client that watches: a node of the simulator takes the steps of its feed as the server would.

It reads what it is told as a client does: event by event, with the id of each.  It can break off,
and go on at another node with its last id.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import orjson

from cluster.simulator.world import World
from node.api.contract import Call, Feed, FeedSteps, FeedWords, Limits, Refused, Reply
from node.api.native.watch import watch
from node.core.protocol.operations import Outcome, Request
from tests.simulation.talking import Talking, facts_of

LIMITS = Limits(value_bytes_max=200_000, wait_s_max=5.0)


class Event(msgspec.Struct, frozen=True):
    """One event as a client reads it."""

    kind: str
    number: str
    said: dict[str, Any]


def read_events(text: bytes) -> tuple[list[Event], str]:
    """Return the events of some blocks, and the last id."""
    events, last = [], ""
    for block in text.decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        last = fields.get("id", last)
        if "data" in fields:
            said = orjson.loads(fields["data"])
            events.append(Event(fields["event"], fields.get("id", ""), said))
    return events, last


class Watching:
    """A watch at one node; `on_event` is told each event, `on_refused` a refusal."""

    def __init__(
        self,
        world: World,
        address: str,
        query: dict[str, str],
        on_event: Callable[[Event], None],
        last_id: str = "",
        on_refused: Callable[[Reply], None] = lambda reply: None,
    ) -> None:
        self.last_id, self.is_open, self._is_closed = last_id, False, False
        self._driver = world.nodes[address].driver
        self._world, self._address, self._on_event = world, address, on_event
        self._on_refused = on_refused
        self._steps: FeedSteps | None = None
        self._outcomes: list[Outcome | None] = []
        headers = {"Last-Event-ID": last_id} if last_id else {}
        call = Call("GET", {}, query, headers, b"", self._facts, LIMITS)
        try:
            said = watch(call)
        except Refused as refusal:
            on_refused(refusal.reply)
            return
        if isinstance(said, Reply):
            on_refused(said)
            return
        assert isinstance(said, Feed)
        self._feed = said
        Talking(world, address, said.opening, self._on_opened)

    def _facts(self) -> Any:
        return facts_of(self._world, self._address)

    @property
    def is_over(self) -> bool:
        """Whether it was broken off, or its node has crashed since it began."""
        return self._is_closed or self._world.nodes[self._address].driver is not self._driver

    def close(self) -> None:
        """Break off."""
        self._is_closed = True

    def _on_opened(self, reply: Reply) -> None:
        if self.is_over:
            return
        if reply.status != 200:
            self._on_refused(reply)
            return
        self.is_open = True
        self._steps = self._feed.go_on()
        self._go(partial(next, self._steps))

    def _go(self, step: Callable[[], Sequence[Request] | float | FeedWords]) -> None:
        if self.is_over:
            return
        wanted = step()
        assert self._steps is not None
        if isinstance(wanted, FeedWords):
            self._hear(wanted)
            self._world.timeline.after(0.0, partial(self._go, partial(self._steps.send, [])))
        elif isinstance(wanted, float):
            self._world.timeline.after(wanted, partial(self._go, partial(self._steps.send, [])))
        else:
            self._outcomes = [None] * len(wanted)
            for place, request in enumerate(wanted):
                self._world.submit(self._address, request, partial(self._note, place))

    def _hear(self, said: FeedWords) -> None:
        events, last = read_events(said.text)
        assert len(events) == said.events
        for event in events:
            self.last_id = event.number or self.last_id
            self._on_event(event)
        self.last_id = last or self.last_id

    def _note(self, place: int, outcome: Outcome) -> None:
        self._outcomes[place] = outcome
        told = [each for each in self._outcomes if each is not None]
        if len(told) == len(self._outcomes) and self._steps is not None:
            self._go(partial(self._steps.send, told))
