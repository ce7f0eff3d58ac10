"""A watch shows every change, causes first, whatever moves and whatever the network does.

Writers make chains: each of their writes depends on all that they have written and read before.
Most write a key of its own; some write or delete a key again and again.  Shards come and go, nodes
crash and are cut off, messages are lost and late.  Watchers of all keys break off now and then, and
go on at another node with the last id.  No watcher is shown a write before another one that it
depends on; and when all is quiet, each has been shown every key as it is.
"""

from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import Any

import orjson
import pytest

from node.api.contract import Reply
from node.api.native.watch_order import Backlog
from node.api.native.watch_position import Clocks
from node.core.model.conditions import Mode
from node.core.model.options import Options
from node.core.model.placement import reshaped
from node.core.model.token import Token
from node.core.protocol.operations import Found, Get, Outcome, Propose, Put, Stored
from node.core.protocol.watching import ChangePage
from node.core.requests.changes_origin import ChangesOrigin
from tests.simulation.post import Post
from tests.simulation.talking import facts_of
from tests.simulation.watching import Event, Watching

NODES = tuple(f"n{n}" for n in range(1, 7))
OPTIONS = Options(repair_every_s=0.3, page_items=4, page_rows=4)
RUN_S, QUIET_S = 20.0, 40.0
SEEDS = range(6)
Seen = dict[str, int]  # a writer, and up to which of its writes


class Client:
    """A writer's session."""

    def __init__(self, name: str) -> None:
        self.name, self.token, self.seen = name, Token(), Seen()


class Watcher:
    """What one watcher has been told."""

    def __init__(self) -> None:
        self.shown: set[tuple[str, int]] = set()  # writers and the numbers of their writes
        self.last: dict[str, int | None] = {}  # of keys that are written again: the number
        self.wrong: list[object] = []
        self.resets = self.resumed = self.events = 0
        self.feed: Watching | None = None


class Newsroom(Post):
    """Writers, watchers, shards that change, and a bad network."""

    def __init__(self, seed: int, *, changes: bool = True) -> None:
        super().__init__(seed, NODES, 3, options=OPTIONS)
        self.is_over, self.changes, self.crashes = False, 0, 0
        self.written: dict[tuple[str, int], str] = {}  # each write that was acknowledged: its key
        self.begun: set[tuple[str, int]] = set()
        self.clients = [Client(name) for name in ("ann", "bob", "cat")]
        self.hot: dict[str, int | None] = {}  # the last write of each key that is written again
        self.watchers = [Watcher() for _ in range(3)]
        self.weather.loss, self.weather.late, self.weather.late_s = 0.02, 0.2, 0.3
        self.weather.detect_s = 0.2
        self._shards = cycle((1, 2, 3))
        for watcher in self.watchers:
            self._watch(watcher)
        self.wait(2.0)
        for client in self.clients:
            self._write(client)
        if changes:
            self.timeline.after(2.0, self._change)
        self._cut()
        self.timeline.after(3.0, self._crash)

    def _soon(self, least_s: float, most_s: float) -> float:
        return self.random.uniform(least_s, most_s)

    def _up(self) -> list[str]:
        return [address for address in NODES if self.nodes[address].driver is not None]

    def run(self) -> None:
        """Play, then let all be quiet."""
        self.wait(RUN_S)
        self.is_over = True
        self.weather.loss = self.weather.late = 0.0
        for address in NODES:
            if self.nodes[address].driver is None:
                self.start(address)
        self.wait(QUIET_S)

    # ------------------------------------------------------------------ the writers
    def _write(self, client: Client) -> None:
        if self.is_over:
            return
        number = client.seen.get(client.name, 0) + 1
        seen = {**client.seen, client.name: number}
        is_hot = self.random.random() < 0.3
        key = f"hot/{client.name}" if is_hot else f"{client.name}/{number:05d}"
        value = orjson.dumps({"by": client.name, "n": number, "seen": seen})
        is_delete = is_hot and self.random.random() < 0.3
        self._try(client, key, None if is_delete else value, number)

    def _try(self, client: Client, key: str, value: bytes | None, number: int) -> None:
        self.begun.add((client.name, number))
        self.hot.pop(key, None)  # until the answer comes, nobody knows what the key is
        put = Put(key, value, Mode.LWW, client.token, wait_s=5.0, timeout_s=5.0)
        done = partial(self._on_written, client, key, value, number)
        self.submit(self.random.choice(self._up()), put, done)

    def _on_written(
        self, client: Client, key: str, value: bytes | None, number: int, outcome: Outcome
    ) -> None:
        if not isinstance(outcome, Stored):  # it may be done: write the same once more
            if not self.is_over:
                self.timeline.after(
                    self._soon(0.1, 0.3), partial(self._try, client, key, value, number)
                )
            return
        client.token = outcome.token
        client.seen[client.name] = number
        if key.startswith("hot/"):
            self.hot[key] = None if value is None else number
        else:
            self.written[client.name, number] = key
        step = self._read if self.random.random() < 0.3 else self._write
        self.timeline.after(self._soon(0.0, 0.1), partial(step, client))

    def _read(self, client: Client) -> None:
        """Depend on what another one has written."""
        if self.is_over or not self.written:
            return
        key = self.random.choice(list(self.written.values())[-20:])
        get = Get(key, Mode.LWW, client.token, wait_s=2.0, timeout_s=2.0)
        self.submit(self.random.choice(self._up()), get, partial(self._on_read, client))

    def _on_read(self, client: Client, outcome: Outcome) -> None:
        if isinstance(outcome, Found):
            client.token = outcome.token
            for name, number in orjson.loads(outcome.values[0])["seen"].items():
                client.seen[name] = max(number, client.seen.get(name, 0))
        self.timeline.after(self._soon(0.0, 0.1), partial(self._write, client))

    # ------------------------------------------------------------------ trouble
    def _change(self) -> None:
        if self.is_over:
            return
        address = self.random.choice(self._up())
        layout = reshaped(facts_of(self, address).view, NODES, next(self._shards))
        self.submit(address, Propose(layout), self._on_change)
        self.timeline.after(self._soon(2.0, 5.0), self._change)

    def _on_change(self, outcome: Outcome) -> None:
        self.changes += 1

    def _cut(self) -> None:
        if self.is_over:
            return
        one = self.random.choice(NODES)
        pairs = [pair for n in NODES if n != one for pair in ((one, n), (n, one))]
        self.cut(pairs)
        self.timeline.after(self._soon(0.2, 2.0), partial(self.mend, pairs))
        self.timeline.after(self._soon(2.0, 5.0), self._cut)

    def _crash(self) -> None:
        if self.is_over:
            return
        address = self.random.choice(self._up())
        self.crashes += 1
        self.crash(address)
        self.timeline.after(self._soon(0.5, 2.0), partial(self._restart, address))
        self.timeline.after(self._soon(6.0, 9.0), self._crash)

    def _restart(self, address: str) -> None:
        if self.nodes[address].driver is None:
            self.start(address)

    # ------------------------------------------------------------------ the watchers
    def _watch(self, watcher: Watcher, last_id: str = "") -> None:
        address = self.random.choice(self._up())
        again = partial(self._again, watcher)
        watcher.feed = Watching(
            self, address, {"prefix": ""}, partial(self._on_event, watcher), last_id, again
        )
        self.timeline.after(self._soon(1.0, 3.0), partial(self._look_after, watcher))

    def _again(self, watcher: Watcher, reply: Reply) -> None:
        assert reply.status == 503, reply.body
        assert watcher.feed is not None
        watcher.feed.close()

    def _look_after(self, watcher: Watcher) -> None:
        """Break off now and then, and begin again where the node is down."""
        feed = watcher.feed
        assert feed is not None
        is_cut = not self.is_over and self.random.random() < 0.3
        if feed.is_over or is_cut:
            feed.close()
            watcher.resumed += 1
            self._watch(watcher, feed.last_id)
        else:
            self.timeline.after(self._soon(1.0, 3.0), partial(self._look_after, watcher))

    def _on_event(self, watcher: Watcher, event: Event) -> None:
        watcher.events += 1
        if event.kind == "reset":
            watcher.resets += 1
            watcher.shown.update(self.begun)  # what was done by then need not be shown
            return
        key = event.said["key"]
        if event.kind == "change" and "value" in event.said:
            value: dict[str, Any] = event.said["value"]
            by, number, seen = value["by"], value["n"], value["seen"]
            missing = [
                w for w in self._causes(seen) if w not in watcher.shown and w != (by, number)
            ]
            if missing:
                watcher.wrong.append((key, missing[:3]))
            watcher.shown.add((by, number))
            watcher.last[key] = number
        elif event.kind in ("delete", "expire"):
            watcher.last[key] = None

    def _causes(self, seen: Seen) -> Iterator[tuple[str, int]]:
        for write in self.written:
            if write[1] <= seen.get(write[0], 0):
                yield write

    def faults(self) -> list[object]:
        """What watchers were shown too early, and what they were not shown."""
        found: list[object] = []
        for number, watcher in enumerate(self.watchers):
            found += [("too early", number, each) for each in watcher.wrong]
            missing = set(self.written) - watcher.shown
            found += [("never shown", number, sorted(missing)[:5])] if missing else []
            found += [
                ("not as it is", number, key, last, watcher.last.get(key))
                for key, last in self.hot.items()
                if watcher.last.get(key) != last and not watcher.resets
            ]
        return found


@pytest.mark.parametrize("seed", SEEDS)
def test_every_change_is_shown_and_causes_first(seed: int) -> None:
    room = Newsroom(seed)
    room.run()
    assert room.faults() == []
    assert len(room.written) > 60
    assert sum(watcher.resets for watcher in room.watchers) <= 2
    assert room.changes > 3
    assert sum(watcher.resumed for watcher in room.watchers) > 3


# ------------------------------------------------------------------ broken rules
def shows_it() -> bool:
    """Whether some run has a fault."""
    for seed in SEEDS:
        room = Newsroom(seed)
        room.run()
        if room.faults():
            return True
    return False


def test_what_waits_for_no_cause_would_be_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backlog, "_lacking", lambda backlog, order, clocks: set())
    monkeypatch.setattr(Backlog, "_waits_for_held", lambda backlog, change: False)
    assert shows_it()


def test_what_waits_for_no_further_round_would_be_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = Backlog.ready
    monkeypatch.setattr(Backlog, "ready", lambda backlog, clocks, n: ready(backlog, clocks, n + 9))
    assert shows_it()


def test_an_id_that_covers_what_is_held_would_skip_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clocks, "without", lambda clocks, dots: clocks)
    assert shows_it()


def test_slots_that_move_would_be_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first holder is believed, whether its store is whole or not."""
    lacking = ChangesOrigin._lacking
    monkeypatch.setattr(
        ChangesOrigin,
        "_lacking",
        lambda origin, tracking: 0 if tracking.told.read else lacking(origin, tracking),
    )
    assert shows_it()


def test_rows_that_are_not_walked_to_the_end_would_be_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ChangePage, "has_more", property(lambda page: page.upto is not None))
    assert shows_it()
