"""A disk changes rows by itself, at a node that is down and at one that runs.

That node still serves every key correctly, and repairs its rows without help.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cluster.cli.commands import status_document
from cluster.engines import node_client
from cluster.engines.processes import ProcessEngine
from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, get, put
from tests.scenarios.stage import at_once, machines

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(150)]

KEYS = [f"key{n}" for n in range(200)]
DAMAGED = 7
WHOLE_WITHIN_S = 20.0
PORTS = 23100


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Cluster]:
    """Return three nodes of one shard that hold all keys."""
    with machines("process", tmp_path, 1, 3, ports=PORTS) as cluster:
        cluster.await_ready()
        urls = list(cluster.urls.values())
        answers = at_once(lambda n: put(urls[n % 3], KEYS[n], f"v{n}", {}), range(len(KEYS)))
        assert {status for status, _, _ in answers} == {201}
        eventually(cluster, lambda: contents(cluster) == 1 and is_at_rest(cluster))
        yield cluster


def eventually(cluster: Cluster, is_so: Callable[[], bool]) -> None:
    if not node_client.until(lambda: is_so() or None, WHOLE_WITHIN_S):
        nodes = [
            (name, store(cluster, name), cluster.engine.logs(name, 12)) for name in cluster.names
        ]
        pytest.fail(f"not so within {WHOLE_WITHIN_S} s: {nodes}")


def store(cluster: Cluster, name: str) -> dict[str, Any]:
    return dict(ask("GET", f"{cluster.urls[name]}/v1/status")[1].get("store", {}))


def contents(cluster: Cluster) -> int:
    """Return how many different hashes the nodes have; no hash counts as one."""
    return len({store(cluster, name).get("hash") for name in cluster.names})


def processes(cluster: Cluster) -> ProcessEngine:
    assert isinstance(cluster.engine, ProcessEngine)
    return cluster.engine


def is_at_rest(cluster: Cluster) -> bool:
    """Whether no row is still to be written again, which would make a damaged one whole unseen."""
    stores = [store(cluster, name) for name in cluster.names]
    return all((said.get("log"), said.get("open_items")) == (0, 0) for said in stores)


def stop(cluster: Cluster, name: str) -> None:
    """Stop a node as an operator does, so that all rows lie in their tables."""
    processes(cluster).halt([name])


def change(file: Path, statement: str, rows: int) -> list[str]:
    """Let the disk change this many rows behind the node's back; return their keys."""
    with closing(sqlite3.connect(file)) as connection, connection:
        found = connection.execute("SELECT key, value FROM item ORDER BY crc LIMIT ?", (rows,))
        before = dict(found.fetchall())
        for row, value in before.items():
            flipped = bytes([value[0] ^ 1]) + value[1:]
            connection.execute(statement, {"row": row, "value": flipped})
    return [row[4:] for row in before]


FLIP = "UPDATE item SET value = :value WHERE key = :row"
REMOVE = "DELETE FROM item WHERE key = :row AND :value IS NOT NULL"


def file_of(cluster: Cluster, name: str) -> Path:
    return processes(cluster).place / "data" / name / "store.db"


def assert_reads_right(cluster: Cluster, name: str) -> None:
    url = cluster.urls[name]
    answers = at_once(lambda key: get(url, key, {}), KEYS)
    values = [(status, body.get("value")) for status, body, _ in answers]
    assert values == [(200, f"v{n}") for n in range(len(KEYS))]


def scrub(cluster: Cluster, name: str) -> tuple[int, int, int]:
    said = store(cluster, name).get("scrub", {})
    return said.get("found", -1), said.get("repaired", -1), said.get("suspect", -1)


def test_rows_changed_while_the_node_is_down(trio: Cluster) -> None:
    stop(trio, "bob")
    damaged = change(file_of(trio, "bob"), FLIP, DAMAGED)
    trio.engine.start("bob")
    trio.await_ready("bob")
    assert_reads_right(trio, "bob")
    eventually(trio, lambda: scrub(trio, "bob") == (DAMAGED, DAMAGED, 0) and contents(trio) == 1)
    assert_reads_right(trio, "bob")
    log = "\n".join(trio.engine.logs("bob", 100))
    assert all(f"/{key}' of table item is damaged" in log for key in damaged)
    document = status_document(trio.engine)
    assert document["contents"] == {"s1": "equal at alice,bob,carol"}
    assert document["nodes"][1]["rot"] == {"found": DAMAGED, "repaired": DAMAGED}


def test_rows_changed_while_the_node_runs(trio: Cluster) -> None:
    stop(trio, "bob")
    trio.engine.start("bob")
    trio.await_ready("bob")
    change(file_of(trio, "bob"), FLIP, DAMAGED)
    assert_reads_right(trio, "bob")
    eventually(trio, lambda: scrub(trio, "bob") == (DAMAGED, DAMAGED, 0) and contents(trio) == 1)
    assert_reads_right(trio, "bob")


@pytest.mark.parametrize("is_down", [True, False])
def test_rows_that_are_gone(trio: Cluster, is_down: bool) -> None:
    """No checksum shows it: a running node's slot sums do, or its shard peers after a start."""
    stop(trio, "bob")
    if is_down:
        change(file_of(trio, "bob"), REMOVE, DAMAGED)
    trio.engine.start("bob")
    trio.await_ready("bob")
    if not is_down:
        eventually(trio, lambda: store(trio, "bob").get("hash") is not None)
        change(file_of(trio, "bob"), REMOVE, DAMAGED)
    eventually(trio, lambda: scrub(trio, "bob") == (DAMAGED, DAMAGED, 0) and contents(trio) == 1)
    assert_reads_right(trio, "bob")
