"""Counters and sets at a real cluster, by both kinds of client."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from coterie import BadRequest, Client, KeyReused, OutOfBounds
from tests.client.bad_nodes import forgetful
from tests.client.conftest import Connect
from tests.client.faults import cut_off, owned_by
from tests.scenarios.conftest import Cluster
from tests.scenarios.script import eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

EQUAL_S = 15.0
ADDING, TIMES = 4, 25


def test_a_counter_counts(kv: Client, key: str) -> None:
    hits = kv.counter(key)
    assert hits.value() == 0
    counted = hits.add(5, w="all")
    assert (counted.key, counted.value, counted.copies) == (key, 5, 3)
    assert counted.acks + counted.hints == 3
    assert hits.add().value == 6
    assert hits.add(-7).value == -1
    assert hits.value(r="all") == kv.session(kv.token).counter(key).value() == -1
    assert hits.add(10**18).value == 10**18 - 1
    with pytest.raises(OutOfBounds):
        hits.add(2**63 - 1)
    with pytest.raises(BadRequest, match="64 bits"):
        hits.add(10**30)


def test_an_addition_with_a_name_of_the_program_counts_once(kv: Client, key: str) -> None:
    for _ in range(3):
        kv.counter(key).add(5, idempotency_key="mine")
    assert kv.counter(key).value(r="all") == 5
    with pytest.raises(KeyReused):
        kv.counter(key).add(6, idempotency_key="mine")


def test_an_addition_whose_answer_is_lost_counts_once(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    with forgetful(cluster.urls["alice"]) as lossy:
        for _ in range(4):
            with connect([lossy, cluster.urls["erin"]]) as kv:
                kv.counter(key).add(5)
    with connect(cluster.urls["bob"]) as kv:
        assert kv.counter(key).value(r="all") == 20


def test_additions_at_the_same_time_all_count(cluster: Cluster, connect: Connect, key: str) -> None:
    start = threading.Barrier(ADDING)

    def work(_number: int) -> None:
        with connect(list(cluster.urls.values())) as kv:
            start.wait()
            for _ in range(TIMES):
                kv.counter(key).add(2)

    with ThreadPoolExecutor(ADDING) as pool:
        for each in [pool.submit(work, number) for number in range(ADDING)]:
            each.result()
    with connect(list(cluster.urls.values())) as kv:
        assert kv.counter(key).value(r="all") == 2 * ADDING * TIMES


def test_a_set_keeps_what_is_added_and_loses_what_is_removed(kv: Client, key: str) -> None:
    tags = kv.set(key)
    assert tags.elements() == []
    changed = tags.add("red", "blue", 7, None, True, w="all")
    assert (changed.elements, changed.acks + changed.hints) == ([None, True, 7, "blue", "red"], 3)
    assert tags.remove("blue", "green").elements == [None, True, 7, "red"]
    assert tags.change(["green"], ["red"]).elements == [None, True, 7, "green"]
    assert tags.elements(r="all") == [None, True, 7, "green"]
    assert tags.add().elements == [None, True, 7, "green"]


def test_both_sides_of_a_cut_count_and_an_addition_beside_a_remove_stays(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    with connect(cluster.urls["alice"]) as alice, connect(cluster.urls["bob"]) as bob:
        hits = owned_by(cluster, key, lambda name: bob.counter(name).add(1, w="all"))
        tags = owned_by(cluster, key, lambda name: bob.set(name).add("red", w="all"))
        with cut_off(cluster, "alice"):
            for kv in (alice, bob):
                kv.counter(hits).add(5)
            alice.set(tags).add("red")
            bob.set(tags).remove("red")
        assert eventually(lambda: bob.counter(hits).value(r="all") == 11, EQUAL_S)
        assert eventually(lambda: bob.set(tags).elements(r="all") == ["red"], EQUAL_S)
