"""asg3, by a script that knows only HTTP and the contract.

Three nodes are told who they are, and no number of shards.  In Docker the test cuts the network as
such scripts do.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.engines import node_client
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import Asg3, Asg3InOlderWords, Containers, Plain, speaking, whole
from tests.scenarios.script import Answer, ask, eventually
from tests.scenarios.stage import ON_PROCESSES, account

MET_S = 20.0
GONE_S, BACK_S, LEVEL_S = 10.0, 5.0, 10.0
QUICKLY_S = 1.0
CUT_S, LOOKED_AFTER_S = 1.0, 1.0
UNMET = {"error": "Causal dependencies not satisfied; try again later"}
WORDS = {"process": "replaced", "docker": "updated"}  # for a write over a value

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(150)]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("process", marks=ON_PROCESSES),
        pytest.param("docker", marks=pytest.mark.xdist_group("docker-contracts")),
    ],
)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    folder, word = tmp_path_factory.mktemp("asg3"), WORDS[request.param]
    contract = Asg3 if word == "replaced" else Asg3InOlderWords
    with speaking(request.param, contract, folder, 1, 3, containers=Plain) as cluster:
        yield cluster


@pytest.fixture
def three(running: Cluster) -> Cluster:
    """Return alice, bob and carol after they have met: each has the writes of the others."""
    urls = whole(running).urls.values()
    assert eventually(lambda: all(put(url, "met", 0)[0] in (200, 201) for url in urls), MET_S), (
        account(running)
    )
    running.await_ready()
    return running


def word_of(cluster: Cluster) -> str:
    return WORDS[cluster.topology.engine]


def put(url: str, key: str, value: object, metadata: object = None) -> Answer:
    body = {"value": value, "causal-metadata": metadata}
    return ask("PUT", f"{url}/kvs/{key}", body, timeout_s=5.0)


def get(url: str, key: str, metadata: object = None) -> Answer:
    return ask("GET", f"{url}/kvs/{key}", {"causal-metadata": metadata}, timeout_s=5.0)


def value_at(url: str, key: str, metadata: object = None) -> object:
    return get(url, key, metadata)[1].get("value")


def view_at(url: str) -> object:
    return ask("GET", f"{url}/view")[1].get("view")


def passed(began: float, wait_s: float) -> float:
    """Wait until this time has passed since then; return how much has."""
    node_client.until(lambda: None, began + wait_s - node_client.now())
    return node_client.now() - began


@contextmanager
def cut_off(cluster: Cluster, *names: str) -> Iterator[None]:
    """Take these nodes off the network for the block; they come back at the same addresses."""
    engine = cluster.engine
    if isinstance(engine, Containers):
        for name in names:
            engine.leave(name)
    else:
        others = [name for name in cluster.names if name not in names]
        engine.split([*([name] for name in names), others])
    try:
        yield
    finally:
        if isinstance(engine, Containers):
            for name in names:
                engine.come_back(name, cluster.topology.node(name).ip)
        else:
            engine.heal()


def test_value_operations(three: Cluster) -> None:
    alice, bob, carol = three.urls.values()
    status, said, _ = put(alice, "cart", "milk")
    assert (status, said["result"]) == (201, "created")
    status, said, _ = put(bob, "cart", ["milk", 1.5], said["causal-metadata"])
    assert (status, said["result"]) == (200, word_of(three))
    seen = said["causal-metadata"]
    urls = three.urls.values()
    assert eventually(lambda: all(value_at(u, "cart", seen) == ["milk", 1.5] for u in urls), 1.0)
    assert get(carol, "cart", seen)[1]["result"] == "found"
    status, said, _ = ask("DELETE", f"{carol}/kvs/cart", {"causal-metadata": seen})
    assert (status, said["result"]) == (200, "deleted")
    seen = said["causal-metadata"]
    assert eventually(lambda: get(alice, "cart", seen)[0] == 404, QUICKLY_S)
    assert get(alice, "cart", seen)[1] == {"error": "Key does not exist"}
    assert ask("DELETE", f"{alice}/kvs/cart", {"causal-metadata": seen})[0] == 404
    no_value = {"error": "PUT request does not specify a value"}
    assert ask("PUT", f"{bob}/kvs/cart", {"causal-metadata": seen})[:2] == (400, no_value)
    assert put(bob, "k" * 51, 1)[:2] == (400, {"error": "Key is too long"})


def test_view_operations(three: Cluster) -> None:
    alice, bob, carol = three.urls.values()
    everybody = [three.address(name) for name in three.names]
    assert all(view_at(url) == everybody for url in (alice, bob, carol))
    gone = {"socket-address": everybody[2]}
    assert ask("PUT", f"{alice}/view", gone)[:2] == (200, {"result": "already present"})
    nobody = {"socket-address": "10.10.0.250:8090"}
    no_replica = {"error": "View has no such replica"}
    assert ask("DELETE", f"{bob}/view", nobody)[:2] == (404, no_replica)
    three.engine.kill("carol")
    assert eventually(lambda: view_at(alice) == view_at(bob) == everybody[:2], GONE_S)
    for n in range(20):
        assert put(alice, f"key{n}", n)[0] in (200, 201)
    three.engine.start("carol")
    began = node_client.now()

    def is_back() -> bool:
        values = [value_at(carol, f"key{n}") for n in range(20)]
        return values == [*range(20)] and all(view_at(u) == everybody for u in three.urls.values())

    assert eventually(is_back, BACK_S + QUICKLY_S), account(three)
    assert node_client.now() - began < BACK_S + QUICKLY_S
    assert ask("DELETE", f"{alice}/view", gone)[:2] == (200, {"result": "deleted"})
    assert eventually(lambda: view_at(alice) == view_at(bob) == everybody[:2], BACK_S)
    assert ask("PUT", f"{bob}/view", gone)[:2] == (201, {"result": "added"})
    assert eventually(lambda: all(view_at(u) == everybody for u in three.urls.values()), BACK_S)
    assert eventually(lambda: value_at(carol, "key7") == 7, BACK_S)


def test_availability(three: Cluster) -> None:
    alice = three.urls["alice"]
    with cut_off(three, "bob", "carol"):
        began = node_client.now()
        status, said, _ = put(alice, "alone", "yes")
        assert (status, said["result"]) == (201, "created")
        assert node_client.now() - began < QUICKLY_S
        assert value_at(alice, "alone", said["causal-metadata"]) == "yes"
    urls = three.urls.values()
    assert eventually(lambda: all(value_at(u, "alone") == "yes" for u in urls), LEVEL_S), account(
        three
    )


@pytest.mark.parametrize("lasts_s", [CUT_S, 1.3])
def test_a_missed_write_stays_missed_for_a_second(three: Cluster, lasts_s: float) -> None:
    alice, bob, carol = three.urls.values()
    key = f"missed-{lasts_s}"
    old = put(alice, key, "old")[1]["causal-metadata"]
    assert eventually(lambda: value_at(bob, key, old) == "old", QUICKLY_S)
    with cut_off(three, "bob"):
        began = node_client.now()
        status, said, _ = put(alice, key, "new", old)
        assert (status, said["result"]) == (200, word_of(three))
        new = said["causal-metadata"]
        passed(began, lasts_s)
    back = node_client.now()
    passed(back, LOOKED_AFTER_S)
    assert get(bob, key, new)[:2] == (503, UNMET), account(three)
    assert put(bob, key, "newer", new)[:2] == (503, UNMET)
    status, said, _ = get(bob, key, old)
    assert (status, said["value"]) == (200, "old")
    assert value_at(alice, key, new) == value_at(carol, key, new) == "new"
    assert eventually(
        lambda: value_at(bob, key, new) == "new", back + LEVEL_S - node_client.now()
    ), account(three)
