"""Counters and sets on both sides of a partition, and through a home that is killed."""

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import ALL, OPENER, Said
from tests.scenarios.script import eventually

HEALED_S = 10.0
EACH = 500
PROCESSES = pytest.mark.parametrize(
    "cluster",
    [pytest.param("process", marks=pytest.mark.xdist_group("processes"))],
    indirect=True,
)


def call(url: str, method: str, path: str, body: object = None, name: str = "") -> Said:
    headers = {"Idempotency-Key": name} if name else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/{path}", data, headers, method=method)
    try:
        with OPENER.open(request, timeout=30.0) as reply:
            return Said(reply.status, reply.read(), dict(reply.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Said(error.code, error.read(), dict(error.headers))


def done(said: Said) -> Said:
    assert said.status == 200, said.body
    return said


@PROCESSES
@pytest.mark.timeout(240)
def test_both_halves_of_a_partition_add(cluster: Cluster) -> None:
    """Each half has replicas of the key: alice, bob and carol are one shard, dave, erin and frank
    the other."""
    left, right = ["alice", "bob", "dave"], ["carol", "erin", "frank"]
    urls = cluster.urls
    cluster.engine.split([left, right])
    try:
        for side, members in enumerate((left, right)):
            for n in range(EACH):
                url = urls[members[n % 3]]
                name = f"{side}.{n}"  # the first home that is asked may be on the other side
                done(call(url, "POST", "counters/halves", {"add": 1}, name))
                if n % 10 == 0:
                    done(call(url, "POST", "sets/halves", {"add": [name]}, name))
            last = done(call(urls[members[0]], "GET", "counters/halves?r=one"))
            assert last.json["value"] <= EACH
    finally:
        cluster.engine.heal()
    elements = sorted(f"{side}.{n}" for side in (0, 1) for n in range(0, EACH, 10))

    def is_whole() -> bool:
        counts = [call(url, "GET", "counters/halves").json for url in urls.values()]
        sets = [call(url, "GET", "sets/halves").json for url in urls.values()]
        return all(each.get("value") == 2 * EACH for each in counts) and all(
            each.get("elements") == elements for each in sets
        )

    assert eventually(is_whole, HEALED_S)
    removed = done(call(urls["alice"], "POST", f"sets/halves?{ALL}", {"remove": elements[:99]}))
    assert removed.json["elements"] == elements[99:]


@PROCESSES
@pytest.mark.timeout(240)
def test_additions_that_are_sent_again_while_their_home_dies_count_once(cluster: Cluster) -> None:
    """Each of 500 additions is sent to two nodes; the home is killed meanwhile and comes back."""
    first = done(call(cluster.urls["alice"], "POST", "counters/killed", {"add": 0}))
    addresses = {cluster.address(name): name for name in cluster.names}
    home = addresses[first.headers["Kv-Served-By"]]
    others = [cluster.urls[name] for name in cluster.names if name != home]

    def add(n: int) -> list[int]:
        if n == EACH // 5:
            cluster.engine.kill(home)
        urls = cluster.urls[home], others[n % 5], others[(n + 1) % 5]
        return [_status(url, n) for url in urls]

    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(add, range(EACH)))
    finally:
        cluster.engine.start(home)
        cluster.await_ready()
    assert all(200 in statuses for statuses in answers)

    def is_exact() -> bool:
        counts = [call(url, "GET", "counters/killed").json for url in cluster.urls.values()]
        return all(each.get("value") == EACH * 3 for each in counts)

    assert eventually(is_exact, HEALED_S)
    for n in range(0, EACH, 25):
        again = done(call(cluster.urls[home], "POST", "counters/killed", {"add": 3}, f"of {n}"))
        assert again.json["value"] == EACH * 3
    reused = call(cluster.urls[home], "POST", "counters/killed", {"add": 4}, "of 0")
    assert (reused.status, reused.json["type"]) == (422, "/v1/problems/reused")


def _status(url: str, n: int) -> int:
    """Return the status of an answer; 0 if none came."""
    try:
        return call(url, "POST", "counters/killed", {"add": 3}, f"of {n}").status
    except OSError:
        return 0
