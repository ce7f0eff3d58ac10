"""Lists of keys have no gap and no double, whatever moves and whatever the network does.

Some keys have a value from the beginning to the end; others are deleted one by one.  Shards come
and go, one view change after the other, while messages are lost and late and nodes are cut off.
Clients list all keys by pages, each page at any node.  Each list has all keys of the first kind,
and no key that was deleted at all replicas before it began.  One that says it is not complete
counts as none.
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from itertools import cycle, islice
from typing import Any

import orjson
import pytest

from node.api.contract import Call, Limits, Reply, Talk
from node.api.native import key_lists
from node.api.native.key_lists import list_keys
from node.core.model.options import Options
from node.core.model.placement import reshaped
from node.core.protocol.operations import Outcome, Propose, Put, Stored
from node.core.requests.key_pages import KeyPages
from tests.simulation.post import Post
from tests.simulation.talking import Talking, facts_of

NODES = tuple(f"n{n}" for n in range(1, 7))
LIMITS = Limits(value_bytes_max=200, wait_s_max=5.0)
OPTIONS = Options(repair_every_s=0.3, page_items=2, page_rows=2)
RUN_S = 20.0
KEPT = [f"kept{n:03}" for n in range(60)]
DELETED = [f"gone{n:03}" for n in range(60)]
SEEDS = range(4)


class Catalog(Post):
    """Keys, clients that list them, and shards that change."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, NODES, 2, options=OPTIONS)
        self.wrong: list[object] = []
        self.lists = self.refused = self.changes = 0
        self.deleted: set[str] = set()
        self._shards, self._doomed = cycle((3, 1, 2)), iter(DELETED)
        for key in (*KEPT, *DELETED):
            self._write(key, b"1", lambda outcome: None)
        self.wait(2.0)
        self.weather.loss, self.weather.late, self.weather.late_s = 0.02, 0.1, 0.3
        self.weather.detect_s = 0.2
        self._change()
        self._cut()
        for _ in range(3):
            self._begin_list()

    def _write(self, key: str, value: bytes | None, done: Callable[[Outcome], None]) -> None:
        self.submit(self.random.choice(NODES), Put(key, value, level="all"), done)

    def _soon(self, least_s: float, most_s: float) -> float:
        return self.random.uniform(least_s, most_s)

    def _change(self) -> None:
        address = self.random.choice(NODES)
        view = facts_of(self, address).view
        layout = reshaped(view, NODES, next(self._shards))
        self.submit(address, Propose(layout), self._on_change)
        self.timeline.after(self._soon(1.0, 4.0), self._change)

    def _on_change(self, outcome: Outcome) -> None:
        """Delete some keys at once: the new owners have not got them yet."""
        self.changes += 1
        for key in islice(self._doomed, 6):
            self._write(key, None, partial(self._on_deleted, key))

    def _on_deleted(self, key: str, outcome: Outcome) -> None:
        if isinstance(outcome, Stored):
            self.deleted.add(key)

    def _cut(self) -> None:
        one = self.random.choice(NODES)
        pairs = [pair for n in NODES if n != one for pair in ((one, n), (n, one))]
        self.cut(pairs)
        self.timeline.after(self._soon(0.2, 1.0), partial(self.mend, pairs))
        self.timeline.after(self._soon(1.0, 5.0), self._cut)

    # ------------------------------------------------------------------ the clients
    def _begin_list(self) -> None:
        self._page([], "", frozenset(self.deleted))

    def _page(self, found: list[str], after: str, gone: frozenset[str]) -> None:
        address = self.random.choice(NODES)
        query = {"limit": "17", "after": after}
        call = Call("GET", {}, query, {}, b"", partial(facts_of, self, address), LIMITS)
        said = list_keys(call)
        assert isinstance(said, Talk)
        Talking(self, address, said.steps, partial(self._on_page, found, gone))

    def _on_page(self, found: list[str], gone: frozenset[str], reply: Reply) -> None:
        page: dict[str, Any] = orjson.loads(reply.body)
        next_step = self._begin_list
        if reply.status != 200 or not page["complete"]:
            self.refused += 1
            assert reply.status in (200, 503)
        elif page["next"] is None:
            self._judge([*found, *page["keys"]], gone)
        else:
            next_step = partial(self._page, [*found, *page["keys"]], page["next"], gone)
        self.timeline.after(self._soon(0.0, 0.1), next_step)

    def _judge(self, keys: list[str], gone: frozenset[str]) -> None:
        self.lists += 1
        kept = [key for key in keys if key in KEPT]
        if kept != KEPT or keys != sorted(set(keys)) or gone & set(keys):
            self.wrong.append((sorted(set(KEPT) ^ set(kept)), sorted(gone & set(keys))))


def played() -> Iterator[Catalog]:
    for seed in SEEDS:
        catalog = Catalog(seed)
        catalog.wait(RUN_S)
        yield catalog


@pytest.mark.parametrize("seed", SEEDS)
def test_no_gap_and_no_double(seed: int) -> None:
    catalog = Catalog(seed)
    catalog.wait(RUN_S)
    assert catalog.wrong == []
    assert catalog.lists > 20
    assert catalog.changes > 4
    assert len(catalog.deleted) > 10


def test_pages_of_stores_that_are_not_whole_would_have_gaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeyPages, "_lacking", lambda pages, come, slots: 0 if come else slots)
    assert any(catalog.wrong for catalog in played())


def test_keys_that_are_not_read_would_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def believed(page: object, keys: list[str]) -> Generator[object, object, list[str]]:
        yield from ()
        return keys

    monkeypatch.setattr(key_lists._Page, "_certain", believed)
    assert any(catalog.wrong for catalog in played())
