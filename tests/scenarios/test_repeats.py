"""Writes that a client sends again, at other nodes and while nodes die: each is done once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import TEXT, kv, values_of
from tests.scenarios.script import eventually

HEALED_S = 10.0
INCREMENTS = 1000


@pytest.mark.timeout(120)
def test_a_write_that_is_sent_to_five_nodes_while_its_home_dies_is_one(cluster: Cluster) -> None:
    """Each write has seen nothing, so it would stand beside the others, were it not the same."""
    urls, home = cluster.urls, cluster.names[0]
    others = [name for name in cluster.names if name != home]
    mine = [
        f"once/{n}"
        for n in range(40)
        if kv(urls[home], "PUT", f"once/{n}", b"0", **TEXT).headers["Kv-Served-By"]
        == cluster.address(home)
    ][:6]
    start = threading.Barrier(len(mine) * len(others) + 1)

    def write(key: str, name: str) -> int:
        start.wait()
        again = {"Kv_Context": "none", "Idempotency_Key": f"of {key}"}
        return kv(urls[name], "PUT", key, b"once", **TEXT, **again).status

    with ThreadPoolExecutor(len(mine) * len(others)) as pool:
        tries = [pool.submit(write, key, name) for key in mine for name in others]
        start.wait()
        cluster.engine.kill(home)
        statuses = [each.result() for each in tries]
    try:
        assert set(statuses) <= {200, 201}, statuses
    finally:
        cluster.engine.start(home)
        cluster.await_ready()
    for key in mine:
        again = kv(urls[home], "PUT", key, b"once", **TEXT, Kv_Context="none", **{
            "Idempotency_Key": f"of {key}"
        })  # fmt: skip
        assert again.status in (200, 201)

    def is_once() -> bool:
        said = [kv(url, "GET", f"{key}?envelope=true") for key in mine for url in urls.values()]
        return all(values_of(each) == ["0", "once"] for each in said)

    assert eventually(is_once, HEALED_S)
    other = kv(urls[others[0]], "PUT", mine[0], b"twice", **TEXT, Idempotency_Key=f"of {mine[0]}")
    assert (other.status, other.json["type"]) == (422, "/v1/problems/reused")
    for key in mine:
        both = kv(urls[home], "GET", f"{key}?r=all")
        one = kv(urls[others[1]], "PUT", key, b"all", **TEXT, Kv_Context=both.context)
        assert one.status == 200
    late = kv(urls[others[2]], "PUT", mine[0], b"once", **TEXT, Kv_Context="none", **{
        "Idempotency_Key": f"of {mine[0]}"
    })  # fmt: skip
    assert late.status in (200, 201)
    assert eventually(lambda: kv(urls[home], "GET", mine[0]).body == b"all", HEALED_S)
    assert kv(urls[home], "GET", f"{mine[0]}?r=all").body == b"all"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "cluster",
    [pytest.param("process", marks=pytest.mark.xdist_group("processes"))],
    indirect=True,
)
def test_a_counter_whose_every_other_increment_is_sent_again_is_exact(cluster: Cluster) -> None:
    """Reads, adds one, writes with the context of the read; half of the writes go to two nodes."""
    random, urls = Random(7), list(cluster.urls.values())
    made = kv(urls[0], "PUT", "counter", b"0", **TEXT)
    token = made.headers["Kv-Token"]
    for number in range(INCREMENTS):
        read = kv(random.choice(urls), "GET", "counter", Kv_Token=token)
        assert read.status == 200, (number, read.body)
        count = b"%d" % (int(read.body) + 1)
        seen = {"Kv_Context": read.context, "Kv_Token": read.headers["Kv-Token"]}
        for _ in range(random.choice((1, 2))):
            wrote = kv(random.choice(urls), "PUT", "counter", count, **TEXT, **seen, **{
                "Idempotency_Key": f"increment {number}"
            })  # fmt: skip
            assert wrote.status == 200, (number, wrote.body)
            token = wrote.headers["Kv-Token"]
    last = kv(urls[3], "GET", "counter?r=all", Kv_Token=token)
    assert (last.status, last.body) == (200, b"%d" % INCREMENTS)
