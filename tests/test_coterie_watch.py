"""`coterie watch`: its lines, how it ends, and how it goes on at the next node."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar

import pytest

from cluster.cli.watch_command import line_of
from cluster.engines.engine import recalled
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from tests.coterie_command import PROGRAM, coterie, done
from tests.launching import QUIET, ROOT, WAIT_S
from tests.scenarios.conftest import free_port_block
from tests.scenarios.native_calls import OPENER
from tests.scenarios.script import eventually

PORTS = 24400


def test_an_event_is_a_line() -> None:
    one = {"key": "k", "content_type": "text/plain"}
    assert line_of("change", {**one, "value": "a\n b"}) == "change  k  a b"
    assert line_of("change", {**one, "value": ["é"]}) == 'change  k  ["é"]'
    assert line_of("change", {**one, "value": "x" * 61}) == f"change  k  {'x' * 57}..."
    assert line_of("change", {**one, "size": 5000}) == "change  k  (5000 bytes, text/plain)"
    assert line_of("change", {**one, "value_base64": "AA=="}) == "change  k  (text/plain)"
    assert line_of("change", {"key": "k", "siblings": [{}, {}]}) == "change  k  (2 values)"
    assert (
        line_of("change", {"key": "k", "overwritten": True}) == "change  k  (overwritten at once)"
    )
    assert line_of("delete", {"key": "k"}) == "delete  k"
    assert line_of("reset", {"reason": "why"}) == "reset   why: read the keys again"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """Two nodes of one shard, as local processes."""
    home = tmp_path_factory.mktemp("watch")
    engine = ProcessEngine("watch", home)
    try:
        up(engine, UpOptions(1, 2, port=free_port_block(2, PORTS), wait_s=WAIT_S), QUIET, home)
        yield engine
    finally:
        engine.clean()


@contextmanager
def watching(engine: ProcessEngine, *words: str) -> Iterator[IO[str]]:
    """Give the output of a watch that has begun."""
    command = [sys.executable, "-c", PROGRAM, str(engine.home), "watch", *words]
    named = [*command, "--name", engine.name]
    with subprocess.Popen(named, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert eventually(lambda: watches_at(engine) > 0, WAIT_S)
            yield process.stdout
        finally:
            process.kill()


def watches_at(engine: ProcessEngine) -> float:
    """How many watches the nodes have open."""
    found = 0.0
    for node in recalled(engine).nodes:
        with suppress(OSError), OPENER.open(f"{node.url}/metrics", timeout=5.0) as reply:
            text = reply.read().decode()
            found += float(text.partition("\ncoterie_watches ")[2].partition("\n")[0])
    return found


SLOW, GROUP = pytest.mark.slow, pytest.mark.xdist_group("coterie-watch")
Test = TypeVar("Test", bound=Callable[..., None])


def at_a_cluster(test: Test) -> Test:
    """Mark a test that uses the cluster."""
    marked: Test = SLOW(GROUP(test))
    return marked


@at_a_cluster
def test_it_prints_a_line_for_each_event_and_goes_on_from_an_id(engine: ProcessEngine) -> None:
    with watching(engine, "--prefix", "bas", "--json") as lines:
        done(engine, "put", "bread", "1")
        done(engine, "put", "basket", '["milk"]')
        first: dict[str, Any] = json.loads(lines.readline())
    assert (first["event"], first["key"], first["value"]) == ("change", "basket", ["milk"])
    done(engine, "delete", "basket")
    done(engine, "put", "bass", "low")
    words = ("watch", "--prefix", "bas", "--limit", "2", "--last-id", first["event_id"])
    assert done(engine, *words) == "delete  basket\nchange  bass  low\n"


@at_a_cluster
def test_the_next_node_goes_on(engine: ProcessEngine) -> None:
    with watching(engine, "bell") as lines:
        done(engine, "put", "bell", "one", "--w", "all")
        assert lines.readline() == "change  bell  one\n"
        alice, bob = (node.name for node in recalled(engine).nodes)
        engine.kill(alice)
        done(engine, "put", "bell", "two", "--node", bob, "--w", "one", "--timeout", "20")
        assert lines.readline() == "change  bell  two\n"
        engine.start(alice)


@at_a_cluster
def test_what_cannot_be_is_refused(engine: ProcessEngine) -> None:
    ended = coterie(engine, "watch", "--last-id", "garbage")
    assert (ended.returncode, "Last-Event-ID is malformed" in ended.stderr) == (2, True)
    assert coterie(engine, "watch", "k", "--prefix", "p").returncode == 2
    assert coterie(engine, "watch", "--limit", "0").returncode == 2
    assert coterie(engine, "watch", "--url", "ftp://x").returncode == 2
    port = free_port_block(1, PORTS + 100)
    ended = coterie(engine, "watch", "--url", f"http://127.0.0.1:{port}", "--timeout", "0.1")
    assert (ended.returncode, "no node answered" in ended.stderr) == (5, True)
