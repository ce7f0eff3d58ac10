"""Watches on processes: a node is killed, slots move, clients come back, and one reads nothing."""

import json
import os
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.processes import ProcessEngine
from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import OPENER, TEXT, kv
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import ON_PROCESSES, is_done, machines
from tests.scenarios.watch_calls import Follower

SOON_S = 30.0
VALUE_BYTES, VALUES = 100_000, 500
MEMORY_BYTES = 30 * 1024 * 1024


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("watch")
    with machines("process", folder, 2, 3, WATCHERS_MAX="3", CACHE_BYTES_MAX="1048576") as running:
        running.await_ready()
        yield running


def put(url: str, key: str, value: str, token: str = "") -> str:
    """Write a value until a node takes it; return the token."""
    again = {**TEXT, "Idempotency_Key": f"{key} {value[:40]}"}
    more = {**again, "Kv_Token": token} if token else again
    said = kv(url, "PUT", f"{key}?timeout=5", value.encode(), **more)
    assert said.status in (200, 201), said
    return said.headers["Kv-Token"]


def told(follower: Follower, wanted: dict[str, Any]) -> Callable[[], bool]:
    """Return whether it has been told these values as the last ones."""
    return lambda: {key: follower.values().get(key) for key in wanted} == wanted


pytestmark = [ON_PROCESSES, pytest.mark.timeout(180)]


def test_writes_of_all_shards_are_told_in_causal_order(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    follower = Follower(urls[0], "prefix=chain/")
    token = ""
    for n in range(60):
        token = put(urls[n % 6], f"chain/{n:03d}", str(n), token)
    kv(urls[3], "DELETE", "chain/000", Kv_Token=token)
    assert eventually(told(follower, {"chain/000": None, "chain/059": "59"}), SOON_S)
    follower.close()
    order = [said["value"] for kind, said in follower.events if kind == "change"]
    assert list(dict.fromkeys(order)) == [str(n) for n in range(60)]
    assert follower.events[-1][0] == "delete"


def test_a_watch_goes_on_while_a_node_is_killed_and_slots_move(cluster: Cluster) -> None:
    names, urls = cluster.names, list(cluster.urls.values())
    follower, token, wanted = Follower(urls[0], "prefix=moved/"), "", dict[str, Any]()
    numbers = count()

    def write(many: int, nodes: list[str]) -> None:
        nonlocal token
        for number in (next(numbers) for _ in range(many)):
            token = put(nodes[number % len(nodes)], f"moved/{number:04d}", str(number), token)
            wanted[f"moved/{number:04d}"] = str(number)

    write(50, urls)
    cluster.engine.kill(names[4])
    left = [url for url in urls if url != urls[4]]
    write(50, left)
    assert ask("PUT", f"{urls[1]}/shard/reshard", {"shard-count": 3})[0] == 200
    write(100, left)
    cluster.engine.start(names[4])
    assert eventually(lambda: is_done(urls), SOON_S)
    write(50, urls)
    assert eventually(told(follower, wanted), SOON_S)
    follower.close()
    assert [kind for kind, _ in follower.events if kind != "change"] == []
    order = [said["value"] for _, said in follower.events]
    assert list(dict.fromkeys(order)) == [str(n) for n in range(250)]


def test_a_client_comes_back_to_another_node_with_its_last_id(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    first = Follower(urls[0], "prefix=back/")
    put(urls[1], "back/a", "1")
    assert eventually(told(first, {"back/a": "1"}), SOON_S)
    first.close()
    put(urls[2], "back/b", "2")
    kv(urls[2], "DELETE", "back/a")
    put(urls[2], "back/c", "3")
    second = Follower(urls[4], "prefix=back/", first.last_id)
    assert eventually(told(second, {"back/a": None, "back/b": "2", "back/c": "3"}), SOON_S)
    second.close()
    assert "reset" not in [kind for kind, _ in second.events]


def test_one_key_is_watched_alone(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    follower = Follower(urls[5], "key=alone")
    put(urls[0], "alone/not", "0")
    put(urls[0], "alone", "1")
    long = "x" * 5000
    put(urls[1], "alone", long)
    assert eventually(lambda: len(follower.events) >= 2, SOON_S)
    follower.close()
    (_, one), (_, two) = follower.events
    assert (one["key"], one["value"]) == ("alone", "1")
    assert (two["key"], two["size"], "value" in two) == ("alone", 5000, False)
    shown = kv(urls[2], "GET", "alone", Kv_Token=two["token"])
    assert (shown.body.decode(), shown.headers["ETag"]) == (long, two["etag"])


def test_ids_of_others_reset_and_garbage_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    url = next(iter(cluster.urls.values()))
    refused = Follower(url, "prefix=", "garbage")
    assert refused.status == 400
    assert "Last-Event-ID" in refused.problem["detail"]
    with machines("process", tmp_path, 1, 1, ports=23400) as other:
        other.await_ready()
        stranger = Follower(other.urls[other.names[0]], "prefix=")
        stranger.close()
    follower = Follower(url, "prefix=", stranger.last_id)
    assert eventually(lambda: [kind for kind, _ in follower.events] == ["reset"], SOON_S)
    assert "another cluster" in follower.events[0][1]["reason"]
    put(url, "after", "1")
    assert eventually(told(follower, {"after": "1"}), SOON_S)
    follower.close()


def test_a_node_takes_so_many_watches_and_counts_them(cluster: Cluster) -> None:
    url = list(cluster.urls.values())[3]
    followers = [Follower(url, "prefix=none/") for _ in range(3)]
    refused = Follower(url, "prefix=")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert "WATCHERS_MAX" in refused.problem["detail"]
    assert metric(url, "coterie_watches ") == 3
    put(url, "none/1", "1")
    assert eventually(lambda: metric(url, "coterie_watch_events_total ") >= 3, SOON_S)
    for follower in followers:
        follower.close()
    assert eventually(lambda: metric(url, "coterie_watches ") == 0, SOON_S)


def metric(url: str, name: str) -> float:
    with OPENER.open(f"{url}/metrics", timeout=30.0) as reply:
        lines = reply.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


def test_memory_is_flat_while_a_client_does_not_read(cluster: Cluster) -> None:
    """50 MB of values are written under its prefix, and as many small ones as it would be told."""
    name = cluster.names[0]
    url = cluster.urls[name]
    port = cluster.topology.node(name).host_port
    with socket.create_connection(("127.0.0.1", port)) as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.sendall(b"GET /v1/watch?prefix=load/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stalled.recv(12) == b"HTTP/1.1 200"
        for n in range(20):
            put(url, f"load/{n}", "x" * VALUE_BYTES)
        before = memory_of(cluster, name)
        for n in range(VALUES):
            put(url, f"load/{n % 50}", f"{n}" + "x" * VALUE_BYTES)
            put(url, f"load/small/{n}", "y" * 4000)
        grown = memory_of(cluster, name) - before
        assert grown < MEMORY_BYTES, f"{grown / 1e6:.1f} MB more"


def memory_of(cluster: Cluster, name: str) -> int:
    """How many bytes of memory the process of a node has."""
    assert isinstance(cluster.engine, ProcessEngine)
    pid, _ = json.loads((cluster.engine.place / "pids.json").read_text())[name]
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
