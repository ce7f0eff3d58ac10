"""No snapshot shows an album without its photo, whatever the network does.

A client writes a photo, and then an album with the token of that write, again and again, each time
at another node.  The n-th album says that the n-th photo is there.  Other clients take snapshots of
both at any node, while messages are lost and late and nodes are cut off from each other.  Nodes
compare often, so that writes soon vanish from tokens because all replicas have them.
"""

from collections.abc import Iterator
from functools import partial
from itertools import count

import orjson
import pytest

from node.api.contract import Call, Limits, Reply, Talk
from node.api.native import snapshots
from node.api.native.snapshots import take
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.model.options import Options
from node.core.model.placement import first_view
from node.core.model.token import Token
from node.core.protocol.operations import Outcome, Put, Stored
from tests.simulation.post import Post
from tests.simulation.talking import Talking, facts_of

NODES = tuple(f"n{n}" for n in range(1, 7))
LIMITS = Limits(value_bytes_max=200, wait_s_max=2.0)
RUN_S = 30.0
OPTIONS = Options(repair_every_s=0.05)
SEEDS = range(6)


def key_in(shard: str) -> str:
    """Return a key of this shard."""
    view = first_view(NODES, 2)
    return next(k for n in count() if view.shard_of(slot_of_key(k := f"k{n}")).id == shard)


ALBUM, PHOTO = key_in("s1"), key_in("s2")
BODY = orjson.dumps({"keys": [ALBUM, PHOTO]})


class Gallery(Post):
    """A writer, clients that take snapshots, and a network that is cut now and then."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, NODES, 2, options=OPTIONS)
        self.weather.loss, self.weather.late, self.weather.late_s = 0.02, 0.2, 0.3
        self.weather.detect_s = 0.2
        self.shown: list[tuple[int, int]] = []  # the latest album and photo of each snapshot
        self.statuses: dict[int, int] = {}
        self._token, self._contexts = Token(), {ALBUM: Past(), PHOTO: Past()}
        self._writes = self._orders()
        self._write()
        self._look()
        self._cut()

    def _somewhere(self) -> str:
        return self.random.choice(NODES)

    def _soon(self, most_s: float) -> float:
        return self.random.uniform(0.0, most_s)

    # ------------------------------------------------------------------ the writer
    def _orders(self) -> Iterator[tuple[str, int]]:
        for number in count(1):
            yield PHOTO, number
            yield ALBUM, number

    def _write(self) -> None:
        key, number = next(self._writes)
        self._try(key, number)

    def _try(self, key: str, number: int) -> None:
        context = self._contexts[key]
        write = Put(key, b"%d" % number, Mode.SIBLINGS, self._token, context)
        self.submit(self._somewhere(), write, partial(self._on_written, key, number))

    def _on_written(self, key: str, number: int, outcome: Outcome) -> None:
        if not isinstance(outcome, Stored):  # it may be done: write the same value once more
            self.timeline.after(self._soon(0.2), partial(self._try, key, number))
            return
        self._token, self._contexts[key] = outcome.token, outcome.context
        self.timeline.after(self._soon(0.1), self._write)

    # ------------------------------------------------------------------ the others
    def _look(self) -> None:
        address = self._somewhere()
        facts = partial(facts_of, self, address)
        said = take(Call("POST", {}, {"timeout": "2"}, {}, BODY, facts, LIMITS))
        assert isinstance(said, Talk)
        Talking(self, address, said.steps, self._on_snapshot)
        self.timeline.after(self._soon(0.1), self._look)

    def _on_snapshot(self, reply: Reply) -> None:
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        if reply.status == 200:
            album, photo = orjson.loads(reply.body)["values"]
            self.shown.append((_latest(album), _latest(photo)))

    def _cut(self) -> None:
        some = self.random.sample(NODES, self.random.randint(1, 3))
        pairs = [(a, b) for a in some for b in NODES if b not in some]
        both = pairs + [(b, a) for a, b in pairs]
        self.cut(both)
        self.timeline.after(self._soon(2.0), partial(self.mend, both))
        self.timeline.after(self._soon(5.0), self._cut)


def _latest(shown: dict[str, list[dict[str, int]]]) -> int:
    return max((sibling["value"] for sibling in shown["siblings"]), default=0)


def torn(gallery: Gallery) -> list[tuple[int, int]]:
    """Return the snapshots whose album has no photo."""
    return [(album, photo) for album, photo in gallery.shown if album > photo]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_album_without_its_photo(seed: int) -> None:
    gallery = Gallery(seed)
    gallery.wait(RUN_S)
    assert torn(gallery) == []
    assert len(gallery.shown) > 200
    assert max(album for album, _ in gallery.shown) > 50
    assert set(gallery.statuses) <= {200, 503}


def test_reads_of_one_round_would_show_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without further rounds the same seeds have torn snapshots."""
    monkeypatch.setattr(snapshots._Snapshot, "_unsure", lambda snapshot: [])
    found = 0
    for seed in SEEDS:
        gallery = Gallery(seed)
        gallery.wait(RUN_S)
        found += len(torn(gallery))
    assert found > 0
