"""A backup under load: the cluster is thrown away, and restored into three shards instead of two.

Writers change values, siblings, a counter and a set at all nodes while `coterie backup` runs.  All
that was acknowledged before it began is there after `coterie restore`, which is broken off once.
"""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path

import pytest

from cluster.engines.console import Report
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology
from coterie import Client, CoterieError, Put
from tests.coterie_command import coterie, done
from tests.scenarios.conftest import PROCESS_PORTS, Cluster, free_port_block
from tests.scenarios.native_calls import kv
from tests.scenarios.script import eventually

pytestmark = pytest.mark.xdist_group("processes")

MANY = [f"many/{n:04}" for n in range(700)]
BUSY = [f"busy/{n}" for n in range(8)]
BINARY = bytes(range(256))
LIVES_S = 3600
SOON_S = 60.0
CONFLICT, UNAVAILABLE = 4, 5


@contextmanager
def running(folder: Path, shards: int, replicas: int) -> Iterator[Cluster]:
    """Run a cluster on processes, and throw it away."""
    engine = ProcessEngine("scenario", folder)
    first = free_port_block(shards * replicas, PROCESS_PORTS + 2048)
    topology = Topology("scenario", shards, replicas, "process", base_port=first)
    cluster = Cluster(engine, topology)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch(cluster.names)
        cluster.await_ready()
        yield cluster
    finally:
        engine.clean()


@dataclass
class Load:
    """Writers at all nodes, and what was acknowledged to them."""

    urls: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    numbers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUSY, 0))
    added: int = 0
    tags: set[int] = field(default_factory=set)

    def write(self, key: str) -> None:
        with Client(self.urls) as client:
            for number in count(1):
                if self.stop.is_set():
                    return
                try:
                    client.put(key, number, w="one", meta={"n": str(number)}, ttl=LIVES_S)
                    self.numbers[key] = number
                except CoterieError:  # a write that is not acknowledged may be there or not
                    continue

    def count(self) -> None:
        with Client(self.urls) as client:
            for number in count(1):
                if self.stop.is_set():
                    return
                try:
                    client.counter("visits").add(1)
                    self.added += 1
                    client.set("tags").add(number)
                    self.tags.add(number)
                except CoterieError:
                    continue

    def is_busy(self) -> bool:
        return min(self.numbers.values()) > 5 and self.added > 5

    def acknowledged(self) -> tuple[dict[str, int], int, set[int]]:
        return dict(self.numbers), self.added, set(self.tags)


def prepare(urls: list[str]) -> float:
    """Write what stays as it is; return when one of the values expires."""
    with Client(urls) as client:
        assert all(each.error is None for each in client.bulk(Put(key, key) for key in MANY))
        client.put("picture", BINARY, meta={"by": "Ann", "Of": "a cat"}, content_type="image/png")
        client.put("spaced", b'{ "a" : 1 }', content_type="application/json")
        client.put("lines", b'{\n "a": 1\n}', content_type="application/json")
        client.put("pair", "first", context="none")
        client.put("pair", "second", context="none")
        client.put("doomed", "x", ttl=0.5)
        client.put("deleted", "x")
        client.delete("deleted")
        client.counter("fixed").add(-7)
        client.set("fixed").add("red", 7, None, True)
        kept = client.put("kept", "x", ttl=LIVES_S)
        assert kept.expires is not None
        return kept.expires


def check_what_stayed(urls: list[str], expires: float) -> None:
    """Check that all that was prepared is there as it was."""
    with Client(urls, r="quorum") as client:
        assert list(client.keys("many/")) == MANY
        assert client.get(MANY[123]).value == MANY[123]
        picture = client.get("picture")
        assert (picture.raw, picture.content_type) == (BINARY, "image/png")
        assert {name.lower(): text for name, text in picture.meta.items()} == {
            "by": "Ann",
            "of": "a cat",
        }
        assert client.get("spaced").raw == b'{ "a" : 1 }'
        assert client.get("lines").raw == b'{\n "a": 1\n}'
        assert client.get("kept").expires == pytest.approx(expires, abs=0.001)
        assert client.counter("fixed").value() == -7
        assert client.set("fixed").elements() == [None, True, 7, "red"]
        names = {*client.keys()}
        assert not names & {"doomed", "deleted"}
    pair = json.loads(kv(urls[0], "GET", "pair?envelope=true&r=quorum").body)
    assert sorted(each["value"] for each in pair["siblings"]) == ["first", "second"]


def check_what_was_acknowledged(
    urls: list[str], before: tuple[dict[str, int], int, set[int]]
) -> None:
    numbers, added, tags = before
    with Client(urls, r="quorum") as client:
        for key, number in numbers.items():
            read = client.get(key)
            assert read.value >= number
            assert read.meta["n"] == str(read.value)
            assert read.expires is not None
        assert client.counter("visits").value() >= added
        assert tags <= {*client.set("tags").elements()}


@pytest.mark.timeout(300)
def test_a_backup_under_load_is_restored_into_other_shards(tmp_path: Path) -> None:
    directory = tmp_path / "backup"
    with running(tmp_path / "two", 2, 3) as cluster:
        urls = list(cluster.urls.values())
        engine = cluster.engine
        assert isinstance(engine, ProcessEngine)
        expires, load = prepare(urls), Load(urls)
        with ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(load.write, key) for key in BUSY] + [pool.submit(load.count)]
            try:
                assert eventually(load.is_busy, SOON_S)
                before = load.acknowledged()
                said = done(engine, "backup", str(directory), "--url", urls[1])
                assert load.acknowledged() != before, "no client wrote meanwhile"
            finally:
                load.stop.set()
            for job in jobs:
                job.result()
        assert "clients wrote meanwhile" in said
        assert said.startswith("written: ")
    assert done(engine, "backup", "verify", str(directory)).startswith("whole: ")
    manifest = json.loads((directory / "manifest.json").read_text())
    assert {file["shard"] for file in manifest["files"]} == {"s1", "s2"}
    assert {oct(path.stat().st_mode & 0o777) for path in directory.iterdir()} == {"0o600"}

    with running(tmp_path / "three", 3, 2) as cluster:
        urls = list(cluster.urls.values())
        engine = cluster.engine
        assert isinstance(engine, ProcessEngine)
        with Client(urls) as client:  # a restore that is broken off after two batches
            lines = (directory / manifest["files"][0]["name"]).read_bytes().splitlines()
            batches = client.import_lines(lines)
            assert [each.failures for each in islice(batches, 1)] == [()]
            batches.close()
        command = ["restore", str(directory), "--url", urls[2], "--url", urls[5]]
        refused = coterie(engine, *command)
        assert refused.returncode == CONFLICT
        assert "--merge" in refused.stderr
        first = json.loads(done(engine, *command, "--merge", "--json"))
        assert first["there"] > 0
        assert first["failed"] == 0
        again = json.loads(done(engine, *command, "--merge", "--json"))
        assert (again["written"], again["failed"]) == (0, 0)
        assert again["there"] == sum(manifest[kind] for kind in ("values", "counters", "sets"))
        check_what_stayed(urls, expires)
        check_what_was_acknowledged(urls, before)


@pytest.mark.timeout(120)
def test_a_shard_that_cannot_be_reached_leaves_no_manifest(tmp_path: Path) -> None:
    with running(tmp_path / "two", 2, 1) as cluster:
        url, engine = cluster.urls["alice"], cluster.engine
        assert isinstance(engine, ProcessEngine)
        cluster.engine.kill("bob")
        for option in ((), ("--partial",)):
            directory = tmp_path / f"backup{len(option)}"
            ended = coterie(
                engine, "backup", str(directory), "--url", url, "--timeout", "6", *option
            )
            assert ended.returncode == UNAVAILABLE
            words = "shard s2 cannot be exported" if option else "cannot be reached"
            assert words in ended.stderr
            assert not (directory / "manifest.json").exists()
            verified = coterie(engine, "backup", "verify", str(directory))
            assert verified.returncode == 1
            assert "broken off" in verified.stderr
