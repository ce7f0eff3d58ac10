"""Items that are larger than any message between nodes.

Concurrent values from three sides of a cut become one item at every node within ten seconds.  A
node with a lost disk gets it again.  A full key refuses one more value, and the refusal says what
to do.
"""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from cluster.engines import node_client
from cluster.engines.host import expect_free
from cluster.engines.topology import Trouble
from tests.scenarios.conftest import Cluster
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import account, at_once, machines

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("processes"),
    pytest.mark.timeout(240),
]

PORTS = 31500
MB = 1_000_000
LARGE_MB = 12  # three of them are larger than any message
VALUES_AT_MOST_MB = 33  # of one key: 32 MiB
CONVERGED_S = 10.0
READY_S = 20.0
ANSWER_S = 30.0


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Cluster]:
    """Return three nodes of one shard whose values may have 16 MiB."""
    largest = str(16 * 1024 * 1024)
    with machines("process", tmp_path, 1, 3, ports=PORTS, VALUE_BYTES_MAX=largest) as cluster:
        cluster.await_ready()
        yield cluster


def value(name: str, megabytes: int) -> str:
    return name + "." * (megabytes * MB - len(name) - 2)


def shown(cluster: Cluster, key: str) -> list[set[str]]:
    """Return the beginnings of the values that each node holds of a key."""
    held = []
    for url in cluster.urls.values():
        _, body, _ = ask("GET", f"{url}/getReplicasValue?key={key}", timeout_s=ANSWER_S)
        values = body.get("values", [body.get("value", "")])
        held.append({text.partition(".")[0] for text in values})
    return held


def write_on_three_sides(cluster: Cluster, megabytes: int) -> set[str]:
    """Write one value at each node, while no node hears of the others."""
    names = cluster.names
    cluster.engine.split([[name] for name in names])

    def write(name: str) -> int:
        body = {"value": value(name, megabytes), "causal-metadata": None}
        return ask("PUT", f"{cluster.urls[name]}/kvs/doc", body, ANSWER_S)[0]

    assert at_once(write, names) == [201] * 3
    return set(names)


def converged_in(cluster: Cluster, key: str, values: set[str]) -> float:
    """Return the seconds from the heal until every node holds all these values."""
    cluster.engine.heal()
    began = monotonic()
    is_level = eventually(lambda: hashes(cluster) == 1, CONVERGED_S)
    seconds = monotonic() - began
    assert is_level, (shown(cluster, key), account(cluster))
    assert shown(cluster, key) == [values] * 3
    return seconds


def hashes(cluster: Cluster) -> int:
    """Return how many different contents the nodes have; to ask costs them nothing."""
    said = [ask("GET", f"{url}/v1/status")[1].get("store", {}) for url in cluster.urls.values()]
    return len({store.get("hash") for store in said})


def is_free(port: int) -> bool:
    try:
        expect_free(port)
    except Trouble:
        return False
    return True


def refill(cluster: Cluster, name: str) -> float:
    """Take a disk; return the seconds until its node is ready again."""
    cluster.engine.kill(name)
    cluster.engine.wipe(name)
    port = cluster.topology.node(name).host_port
    assert eventually(lambda: is_free(port), READY_S)  # the kernel still sends what it had
    began = monotonic()
    cluster.engine.start(name)
    assert node_client.until(lambda: not node_client.unready(port) or None, READY_S), account(
        cluster
    )
    return monotonic() - began


def test_values_from_three_sides_of_a_cut_become_one_item_everywhere(trio: Cluster) -> None:
    values = write_on_three_sides(trio, LARGE_MB)
    converged_in(trio, "doc", values)
    read = [ask("GET", f"{url}/kvs/doc", {}, ANSWER_S)[1]["value"] for url in trio.urls.values()]
    assert len(set(read)) == 1
    refill(trio, trio.names[2])
    assert shown(trio, "doc") == [values] * 3


def test_a_key_that_is_full_refuses_one_more_value_and_is_put_right(trio: Cluster) -> None:
    url = next(iter(trio.urls.values()))

    def keep(n: int) -> tuple[int, str]:
        clock = {f"client{n}": 1}
        body = {"key": "cart", "value": value(f"v{n}", LARGE_MB), "vectorClock": clock}
        status, said, _ = ask("POST", f"{url}/storeReplicas", body, ANSWER_S)
        return status, said.get("error", "")

    room = VALUES_AT_MOST_MB // LARGE_MB
    assert [keep(n)[0] for n in range(room)] == [200] * room
    status, error = keep(room)
    assert (status, "POST /storeData" in error) == (409, True)
    values = {f"v{n}" for n in range(room)}
    assert eventually(lambda: shown(trio, "cart") == [values] * 3, CONVERGED_S), account(trio)
    stored = ask("POST", f"{url}/storeData", {"key": "cart", "value": "one"}, ANSWER_S)
    assert stored[0] == 201
    assert eventually(lambda: shown(trio, "cart") == [{"one"}] * 3, CONVERGED_S), account(trio)
