"""peers, by a script that knows only HTTP and the contract.

Every row of the contract, a node that was down during a thousand writes, a cut, and the contract
beside the default one.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from cluster.cli.commands import status_document
from tests.scenarios.conftest import Cluster, free_port_block
from tests.scenarios.contracts import BOTH_ENGINES, ENGINES, BesideAsg4, Peers, speaking, whole
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import ON_PROCESSES, account, at_once

PING_S = 2.0
LEVEL_S = 10.0
WRITES = 1000
ALONE_PORTS = 32500
STORED = {"message": "stored"}
NOT_FOUND = {"error": "Key not found"}
NO_KEY = {"error": "key is missing, or not a string with characters"}
NO_VIEW = {"error": "this node has not been told its view yet"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def store(url: str, key: object, value: object) -> tuple[int, object]:
    return ask("POST", f"{url}/store", {"key": key, "value": value})[:2]


def found(url: str, key: str) -> tuple[int, object]:
    """Return what a node answers for a key in the query."""
    return ask("GET", f"{url}/store/key?key={key}")[:2]


def found_by_body(url: str, key: str) -> tuple[int, object]:
    return ask("GET", f"{url}/store/key", {"key": key})[:2]


def hash_of(url: str) -> str | None:
    status, said, _ = ask("GET", f"{url}/store/hash")
    assert list(said) == ["hash" if status == 200 else "error"]
    return said.get("hash")


def are_equal(urls: list[str]) -> bool:
    hashes = {hash_of(url) for url in urls}
    return len(hashes) == 1 and None not in hashes


def pulled(url: str) -> int:
    """Return how many entries repair has sent to this node since its start."""
    pulled: int = ask("GET", f"{url}/v1/status")[1]["repair"]["pulled_items"]
    return pulled


@pytest.fixture(scope="module", params=ENGINES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder, every = tmp_path_factory.mktemp("peers"), f"{PING_S:g}"
    with speaking(request.param, Peers, folder, 1, 3, PINGFREQ=every, TIMEOUT="2") as cluster:
        yield cluster


@pytest.fixture
def three(running: Cluster) -> Cluster:
    """Return three nodes that are level."""
    cluster = whole(running)
    cluster.await_ready()
    urls = list(cluster.urls.values())
    assert eventually(lambda: all(store(url, "warm", 0)[0] == 200 for url in urls), LEVEL_S)
    assert eventually(lambda: are_equal(urls), LEVEL_S), account(cluster)
    return cluster


def test_every_row(three: Cluster) -> None:
    urls = list(three.urls.values())
    for n, url in enumerate(urls):
        assert ask("GET", f"{url}/ping")[:2] == (200, {"message": "pong"})
        assert found(url, f"row{n}") == found_by_body(url, f"row{n}") == (404, NOT_FOUND)
        before = hash_of(url)
        assert store(url, f"row{n}", {"any": ["JSON", None, 1.5]}) == (200, STORED)
        value = (200, {"value": {"any": ["JSON", None, 1.5]}})
        assert found(url, f"row{n}") == found_by_body(url, f"row{n}") == value
        assert hash_of(url) not in (None, before)
        replicated = {"key": f"row{n}", "value": "tea"}
        assert ask("POST", f"{url}/replicate", replicated)[:2] == (200, STORED)
        everybody = partial(is_everywhere, urls, f"row{n}", "tea")
        assert eventually(everybody, LEVEL_S), account(three)
        after = hash_of(url)
        assert ask("POST", f"{url}/replicate", replicated)[:2] == (200, STORED)
        assert hash_of(url) == after  # it was there
        refusals(url)
    assert eventually(lambda: are_equal(urls), LEVEL_S), account(three)
    content = hash_of(urls[0])
    told = [node["content"] for node in status_document(three.engine)["nodes"]]
    assert told == [content] * 3


def is_everywhere(urls: list[str], key: str, value: object) -> bool:
    return all(found(url, key) == (200, {"value": value}) for url in urls)


def refusals(url: str) -> None:
    for path in ("/store", "/replicate"):
        assert ask("POST", url + path, {"value": 1})[:2] == (400, NO_KEY)
        assert ask("POST", url + path, {"key": 7, "value": 1})[:2] == (400, NO_KEY)
        no_value = {"error": "value is missing"}
        assert ask("POST", url + path, {"key": "row"})[:2] == (400, no_value)
        no_object = {"error": "request body is not a JSON object"}
        assert ask("POST", url + path, ["row"])[:2] == (400, no_object)
        assert ask("GET", url + path)[0] == 405
    assert ask("GET", f"{url}/store/key")[:2] == (400, NO_KEY)
    assert ask("GET", f"{url}/store/key?key=")[:2] == (400, NO_KEY)
    assert ask("GET", f"{url}/store/key?key=%ff")[0] in (400, 404)
    assert ask("GET", f"{url}/store/other")[:2] == (404, {"error": "No such path"})


def test_a_node_that_was_down_is_level_within_two_pings(three: Cluster) -> None:
    alice, bob, carol = (three.urls[name] for name in three.names)
    assert eventually(lambda: are_equal([alice, bob, carol]), LEVEL_S)
    three.engine.kill("carol")
    write = [partial(store, alice, f"key{n}", n) for n in range(WRITES)]
    assert at_once(lambda one: one(), write) == [(200, STORED)] * WRITES
    assert eventually(lambda: are_equal([alice, bob]), LEVEL_S), account(three)
    three.engine.start("carol")
    assert eventually(lambda: ask("GET", f"{carol}/ping")[0] == 200, LEVEL_S)
    returned = time.monotonic()
    level = eventually(lambda: are_equal([alice, bob, carol]), 2 * PING_S)
    assert level, (time.monotonic() - returned, account(three))
    assert pulled(carol) == WRITES
    assert found(carol, "key7") == (200, {"value": 7})
    sends_nothing(three, [alice, bob, carol])


def sends_nothing(cluster: Cluster, urls: list[str]) -> None:
    """Whether repair sends nothing during three pings, if hashes are equal."""
    before = [pulled(url) for url in urls]
    sent = eventually(lambda: [pulled(url) for url in urls] != before, 3 * PING_S)
    assert not sent, (before, account(cluster))
    assert are_equal(urls)


def test_a_node_that_was_cut_off_is_level_again(three: Cluster) -> None:
    alice, bob, carol = (three.urls[name] for name in three.names)
    assert eventually(lambda: are_equal([alice, bob, carol]), LEVEL_S)
    three.engine.split([["alice", "bob"], ["carol"]])
    try:
        for url, value in ((alice, "here"), (carol, "there")):
            for n in range(20):
                assert store(url, f"both{n}", value) == (200, STORED)
        assert eventually(lambda: are_equal([alice, bob]), LEVEL_S)
        assert hash_of(carol) != hash_of(alice)
        assert found(alice, "both0") == (200, {"value": "here"})
    finally:
        three.engine.heal()
    level = eventually(lambda: are_equal([alice, bob, carol]), LEVEL_S)
    assert level, account(three)
    for n in range(20):
        shown = [found(url, f"both{n}") for url in (alice, bob, carol)]
        assert shown == [(200, {"value": "there"})] * 3  # written last, in each pair


@BOTH_ENGINES
def test_beside_the_default_contract(tmp_path: Path, kind: str) -> None:
    with speaking(kind, BesideAsg4, tmp_path, 2, 2) as cluster:
        cluster.await_ready()
        urls = list(cluster.urls.values())
        assert eventually(lambda: all(shared(url) for url in urls), 20), account(cluster)
        assert [ask("GET", f"{url}/ping")[0] for url in urls] == [200] * 4
        assert eventually(lambda: are_equal(urls[:2]) and are_equal(urls[2:]), LEVEL_S)
        assert hash_of(urls[0]) != hash_of(urls[2])  # other keys
        assert ask("GET", f"{urls[0]}/store")[0] == 405
        assert ask("GET", f"{urls[0]}/nothing")[:2] == (404, {"error": "No such path"})


def shared(url: str) -> bool:
    """Whether each contract reads at this node what the other has written."""
    body = {"value": "asg4", "causal-metadata": {}}
    taken = [ask("PUT", f"{url}/kvs/key{n}", body)[0] in (200, 201) for n in range(8)]
    taken += [store(url, f"other{n}", "peers")[0] == 200 for n in range(8)]
    if not all(taken):
        return False
    for n in range(8):
        assert found(url, f"key{n}") == (200, {"value": "asg4"})
        other = ask("GET", f"{url}/kvs/other{n}", {"causal-metadata": {}})
        assert (other[0], other[1].get("value")) == (200, "peers")
    assert ask("DELETE", f"{url}/kvs/key0", {"causal-metadata": {}})[0] == 200
    return found(url, "key0") == (404, NOT_FOUND)


# ------------------------------------------------------------------ single processes


@contextmanager
def node(folder: Path, *flags: str, **environ: str) -> Iterator[None]:
    """Run a node with these flags and this environment, and nothing else of ours."""
    environ = {**environ, "PATH": os.environ["PATH"], "DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "node", *flags]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def answers(url: str, path: str) -> Answer:
    assert eventually(lambda: ask("GET", url + path)[0] != 0, LEVEL_S)
    return ask("GET", url + path)


@ON_PROCESSES
def test_nodes_that_are_started_with_flags(tmp_path: Path) -> None:
    first = free_port_block(2, ALONE_PORTS)
    one, two = f"http://localhost:{first}", f"http://localhost:{first + 1}"
    more = ["--pingfreq", "1", "--timeout", "15"]
    with (
        node(tmp_path / "1", "--port", str(first), "--peers", two, *more),
        node(tmp_path / "2", "--port", str(first + 1), "--peers", one, *more),
    ):
        for url in (one, two):
            assert answers(url, "/ping")[:2] == (200, {"message": "pong"})
        assert eventually(lambda: store(one, "k", 1) == (200, STORED), LEVEL_S)
        assert eventually(lambda: found(two, "k") == (200, {"value": 1}), LEVEL_S)
        assert eventually(lambda: are_equal([one, two]), LEVEL_S)


@ON_PROCESSES
def test_before_a_view_exists(tmp_path: Path) -> None:
    first = free_port_block(2, ALONE_PORTS)
    own, nobody = f"127.0.0.1:{first}", f"127.0.0.1:{first + 1}"
    with node(tmp_path, SOCKET_ADDRESS=own, VIEW=f"{own},{nobody}", DIALECT="peers"):
        url = f"http://{own}"
        assert answers(url, "/ping")[:2] == (200, {"message": "pong"})
        assert ask("GET", f"{url}/store/hash")[:2] == (503, NO_VIEW)
        assert ask("GET", f"{url}/store/key?key=k")[:2] == (503, NO_VIEW)
        assert store(url, "k", 1) == (503, NO_VIEW)
        replicated = {"key": "k", "value": 1}
        assert ask("POST", f"{url}/replicate", replicated)[:2] == (503, NO_VIEW)
