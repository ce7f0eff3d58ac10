"""causal, by a script that knows only HTTP and the contract: every row, the scenario of its
section, and messages out of order while a client reads."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import pytest

from cluster.engines import node_client
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import ENGINES, Causal, speaking, whole
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import ON_PROCESSES, account

LEVEL_S = 10.0
HOLD_S = 2.0
ROUNDS, TURNS_MAX = 4, 12
KEYS = 230

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

ZERO, ONE, TWO = "alice", "bob", "carol"
METADATA = "X-Causal-Metadata"

Seen = TypeVar("Seen")


def put(url: str, key: str, value: object, **fields: object) -> str:
    """Write; return the metadata of the answer."""
    status, said, headers = ask("POST", f"{url}/put", {"key": key, "value": value, **fields})
    assert (status, said) == (200, {"status": "success", "key": key})
    return headers[METADATA]


def get(url: str, key: str, body: object = None) -> tuple[int, dict[str, Any]]:
    return ask("GET", f"{url}/get/{quote(key, safe='')}", body)[:2]


def found(key: str, value: object) -> tuple[int, dict[str, Any]]:
    return 200, {"key": key, "value": value}


GONE = (404, {"error": "Key not found"})


def status_of(url: str, after: str = "") -> dict[str, Any]:
    status, said, _ = ask("GET", f"{url}/status" + (f"?after={quote(after)}" if after else ""))
    assert status == 200
    return said


def store_of(url: str) -> dict[str, Any]:
    """Return what a node shows of its store, page by page."""
    page = status_of(url)
    store: dict[str, Any] = {}
    while page["kv_store"]:
        store |= page["kv_store"]
        page = status_of(url, list(page["kv_store"])[-1])
    return store


def buffered(url: str) -> list[str]:
    return [message["key"] for message in status_of(url)["buffer"]]


def settled(cluster: Cluster) -> list[str]:
    """Return the URLs of a cluster in which every node takes writes and counts its shard peers."""
    cluster.await_ready()
    urls = list(cluster.urls.values())

    def is_level() -> bool:
        for n, url in enumerate(urls):
            if ask("POST", f"{url}/put", {"key": f"warm{n}", "value": n})[0] != 200:
                return False
        clocks = [status_of(url)["vector_clock"] for url in urls]
        return len(clocks[0]) == len(urls) and all(clock == clocks[0] for clock in clocks)

    assert eventually(is_level, 20), account(cluster)
    return urls


@pytest.fixture(scope="module", params=ENGINES)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    with speaking(request.param, Causal, tmp_path_factory.mktemp("causal"), 1, 3) as cluster:
        yield cluster


@pytest.fixture
def three(running: Cluster) -> Cluster:
    return whole(running)


@contextmanager
def deaf(cluster: Cluster, name: str, *others: str) -> Iterator[None]:
    """Let this node drop all messages to and from these others."""
    port = cluster.topology.node(name).host_port
    assert node_client.cut(port, [cluster.address(other) for other in others])
    try:
        yield
    finally:
        assert node_client.cut(port, [])


# ------------------------------------------------------------------ every row


def test_every_row(three: Cluster) -> None:
    urls = settled(three)
    for n, url in enumerate(urls):
        rows_of_keys(three, url, f"row {n}/é")
        rows_of_refusals(url)
    rows_of_messages(three, urls)
    pages_of_the_store(urls)
    who_is_alone(three)


def rows_of_keys(cluster: Cluster, url: str, key: str) -> None:
    address = next(cluster.address(name) for name, u in cluster.urls.items() if u == url)
    assert ask("GET", f"{url}/health")[:2] == (200, {"status": "healthy", "node_id": address})
    assert get(url, key) == GONE
    before = status_of(url)
    assert list(before) == ["node_id", "vector_clock", "kv_store", "buffer"]
    assert (before["node_id"], before["buffer"]) == (address, [])
    assert sorted(before["vector_clock"]) == sorted(map(cluster.address, cluster.names))
    put(url, key, {"any": ["JSON", None, 1.5]})
    assert get(url, key) == found(key, {"any": ["JSON", None, 1.5]})
    seen = put(url, key, "tea", **{"causal-metadata": {}})
    after = status_of(url)
    assert after["vector_clock"][address] == before["vector_clock"][address] + 2
    assert store_of(url)[key] == "tea"
    for other in cluster.urls.values():  # with metadata a read waits for what they name
        status, said, headers = ask("GET", f"{other}/get/{quote(key, safe='')}", _metadata(seen))
        assert ((status, said), METADATA in headers) == (found(key, "tea"), True)


def _metadata(text: str) -> dict[str, Any]:
    return {"causal-metadata": json.loads(text)}


def rows_of_refusals(url: str) -> None:
    words: dict[str, list[Any]] = {
        "key is missing, or not a string": [{}, {"value": 1}, {"key": 1, "value": 1}, {"key": ""}],
        "value is missing": [{"key": "k"}],
        "key has more than 1000 characters": [{"key": "k" * 1001, "value": 1}],
        "request body is not a JSON object": [["key", "value"]],
    }
    for error, bodies in words.items():
        for body in bodies:
            for path in ("put", "replicate"):
                assert ask("POST", f"{url}/{path}", body)[:2] == (400, {"error": error})
    assert ask("POST", f"{url}/put", {"key": "k", "value": 1, "causal-metadata": 7})[0] == 400
    assert ask("GET", f"{url}/get/k", {"causal-metadata": 7})[0] == 400
    assert ask("GET", f"{url}/get/k", [])[0] == 400
    assert ask("GET", f"{url}/put")[:2] == (405, {"error": "this path has only POST"})
    assert ask("GET", f"{url}/kvs/k")[:2] == (404, {"error": "No such path"})


def rows_of_messages(cluster: Cluster, urls: list[str]) -> None:
    url, address = urls[0], cluster.address(ZERO)
    clock = status_of(url)["vector_clock"]

    def replicate(key: str, clock: object) -> tuple[int, dict[str, Any]]:
        body = {"key": key, "value": "sent", "vector_clock": clock}
        return ask("POST", f"{url}/replicate", body)[:2]

    assert replicate("message", clock) == (200, {"status": "replicated"})
    assert get(url, "message") == found("message", "sent")
    assert eventually(lambda: get(urls[1], "message")[0] == 200, LEVEL_S)
    ahead = {**clock, address: clock[address] + 3}
    assert replicate("too early", ahead) == (200, {"status": "buffered"})
    assert get(url, "too early") == GONE
    [message] = status_of(url)["buffer"]
    assert (message["key"], message["value"]) == ("too early", "sent")
    assert (message["node_id"], message["waits_for"]) == (address, {address: ahead[address]})
    for value in range(3):
        put(url, "past", value)
    assert buffered(url) == []
    assert get(url, "too early") == found("too early", "sent")
    error = {"error": "vector_clock names nobody:1, which is no node of this shard"}
    assert replicate("message", {"nobody:1": 1}) == (400, error)
    error = {"error": "vector_clock is not an object of whole numbers by node"}
    assert replicate("message", [1]) == (400, error)


def pages_of_the_store(urls: list[str]) -> None:
    keys = {f"page {n}": n for n in range(KEYS)}
    for key, value in keys.items():
        put(urls[0], key, value)
    status, page, headers = ask("GET", f"{urls[0]}/status")
    assert (status, len(page["kv_store"])) == (200, 100)
    assert headers["Kv-Next"] == quote(list(page["kv_store"])[-1])
    assert keys.items() <= store_of(urls[0]).items()


def who_is_alone(cluster: Cluster) -> None:
    """A node that has not been told a view says so; a lone one takes writes."""
    for name in (ZERO, ONE):
        cluster.engine.kill(name)
    url = cluster.urls[TWO]
    put(url, "alone", 1)
    assert get(url, "alone") == found("alone", 1)


# ------------------------------------------------------------------ the scenario


def test_the_scenario_of_its_section(three: Cluster) -> None:
    """A write at node 0, a read of it and an update at node 1, a concurrent write at node 2.  No
    client passes metadata on."""
    zero, one, two = urls = settled(three)
    put(zero, "cart", "tea")
    for url in urls:
        assert eventually(partial(has, url, "cart"), LEVEL_S)
    with deaf(three, TWO, ZERO, ONE):
        put(one, "cart", "tea, milk")
        put(two, "cart", "tea, bread")
        assert get(one, "cart") == found("cart", "tea, milk")
        assert get(two, "cart") == found("cart", "tea, bread")

    def is_level() -> bool:
        clocks = [status_of(url)["vector_clock"] for url in urls]
        stores = [store_of(url) for url in urls]
        return all(c == clocks[0] for c in clocks) and all(s == stores[0] for s in stores)

    assert eventually(is_level, LEVEL_S), account(three)
    assert store_of(zero)["cart"] in ("tea, milk", "tea, bread")
    assert [buffered(url) for url in urls] == [[], [], []]


# ------------------------------------------------------------------ out of order


class Watcher(threading.Thread, Generic[Seen]):
    """Looks again and again until it is told to end, and keeps all that it has seen."""

    def __init__(self, look: Callable[[], Seen]) -> None:
        super().__init__(daemon=True)
        self.look, self.seen = look, list[Seen]()
        self.is_over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.is_over.is_set():
            self.seen.append(self.look())

    def end(self) -> list[Seen]:
        self.is_over.set()
        self.join()
        return self.seen


def read_both(url: str, effect: str, cause: str) -> tuple[int, int]:
    """Read at one node, without metadata, an effect and then its cause."""
    return get(url, effect)[0], get(url, cause)[0]


def test_out_of_order_delivery(three: Cluster) -> None:
    """A reader sees the buffer full and then empty, and never an effect before its cause.  This
    holds at any node.  Where repair brings a cause before its effect, a node holds nothing."""
    urls = settled(three)
    held = 0
    for turn in range(TURNS_MAX):
        cause, effect = f"cause{turn}", f"effect{turn}"
        readers = [Watcher(partial(read_both, url, effect, cause)) for url in urls]
        with deaf(three, TWO, ZERO):
            held += is_held(urls, cause, effect)
        for reader in readers:
            seen = reader.end()
            assert (200, 404) not in seen
            assert seen[-1] == (200, 200)
        if held == ROUNDS:
            break
    assert held == ROUNDS


def is_held(urls: list[str], cause: str, effect: str) -> bool:
    """Send the effect to node 2 at once, and its cause by repair; return whether it was held."""
    zero, one, two = urls
    put(zero, cause, "cause")
    assert eventually(lambda: get(one, cause) == found(cause, "cause"), LEVEL_S)
    watcher = Watcher(partial(status_of, two))
    put(one, effect, "effect")
    assert eventually(lambda: get(two, effect) == found(effect, "effect"), HOLD_S / 3 + HOLD_S)
    early = [status for status in watcher.end() if status["buffer"]]
    for status in early:
        [message] = status["buffer"]
        assert message["key"] == effect
        assert effect not in status["kv_store"]
        assert all(n > status["vector_clock"][node] for node, n in message["waits_for"].items())
    assert buffered(two) == []
    assert get(two, cause) == found(cause, "cause")
    for url in urls:
        assert eventually(partial(has, url, effect), LEVEL_S)
    return bool(early)


def has(url: str, key: str) -> bool:
    return get(url, key)[0] == 200


def holds(url: str, key: str) -> bool:
    return buffered(url) == [key]


def test_what_does_not_get_its_past_is_durable_and_shown_in_time(three: Cluster) -> None:
    """Only node 0 has the cause, and it is cut off: the effect shows after a while.  Metadata
    protect the clients that send them."""
    zero, one, two = urls = settled(three)
    with deaf(three, ZERO, ONE, TWO):
        seen = _metadata(put(zero, "cause", "cause"))
        both = _metadata(put(one, "effect", "effect", **seen))
        for url in (one, two):
            assert eventually(partial(holds, url, "effect"), HOLD_S / 2)
            assert get(url, "effect") == GONE
            assert get(url, "effect", both) == found("effect", "effect")
        three.engine.kill(TWO)
        assert eventually(lambda: buffered(one) == [], HOLD_S + 1)
        assert get(one, "effect") == found("effect", "effect")
        assert get(one, "cause") == GONE
        status, said, headers = ask("GET", f"{one}/get/cause", both)
        assert (status, "Kv-Missing" in headers) == (503, True)
        assert said == {"error": "what this client depends on has not arrived; try again"}
        three.engine.start(TWO)
        three.await_ready(TWO)
        assert get(two, "effect") == found("effect", "effect")
    for url in urls:
        assert eventually(partial(has, url, "cause"), LEVEL_S), account(three)
        assert get(url, "effect", both) == found("effect", "effect")


@ON_PROCESSES
def test_nothing_is_held_where_the_setting_is_0(tmp_path: Path) -> None:
    with speaking("process", Causal, tmp_path, 1, 3, HOLD_REPLICATED_MS="0") as cluster:
        zero, one, two = settled(cluster)
        with deaf(cluster, TWO, ZERO):
            put(zero, "cause", "cause")
            assert eventually(partial(has, one, "cause"), LEVEL_S)
            put(one, "effect", "effect")
            assert eventually(partial(has, two, "effect"), HOLD_S / 3)
            assert buffered(two) == []
