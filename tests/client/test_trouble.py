"""Calls while nodes are dead, hung, cut off, or lose answers: each does what could be done."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from coterie import NOTHING, Get, Patience, Put, Sibling, Unavailable, Unmet
from tests.client.bad_nodes import forgetful, mute
from tests.client.conftest import Connect
from tests.client.faults import cut_off, owned, restarted
from tests.scenarios.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

HURRIED = Patience(attempt_s=0.3)
DEAD = "http://127.0.0.1:1"
CLIENTS = 8
STEPS = 20
LOADED = 1500
VICTIM = "alice"


def values_of(siblings: list[Sibling]) -> list[object]:
    return [sibling.value for sibling in siblings]


def test_dead_and_hung_nodes_are_passed_over(cluster: Cluster, connect: Connect, key: str) -> None:
    with mute() as hung:
        nodes = [DEAD, hung, cluster.urls["dave"]]
        with connect(nodes, patience=HURRIED) as kv:
            for number in range(6):
                kv.put(key, number, context=NOTHING)
            assert kv.get(key, r="all", resolve=len).value == 6


def test_a_cluster_that_is_not_there(connect: Connect, key: str) -> None:
    with connect([DEAD]) as kv, pytest.raises(Unavailable, match="no node answered") as raised:
        kv.put(key, 1, timeout=0.2)
    assert raised.value.definite
    with mute() as hung, connect([hung]) as kv:
        with pytest.raises(Unavailable, match=hung) as raised:
            kv.put(key, 1, timeout=0.2)
        assert not raised.value.definite
        with pytest.raises(Unavailable) as raised:
            kv.get(key, timeout=0.2)
        assert raised.value.definite


def test_a_write_whose_answer_is_lost_is_done_once(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    with forgetful(cluster.urls["alice"]) as lossy:
        for number in range(4):
            with connect([lossy, cluster.urls["erin"]]) as kv:
                kv.put(key, number, context=NOTHING)
    with connect(cluster.urls["bob"]) as kv:
        values = kv.get(key, r="all", resolve=values_of).value
    assert sorted(values) == [0, 1, 2, 3]


def test_a_node_that_is_cut_off(cluster: Cluster, connect: Connect, key: str) -> None:
    with connect(cluster.urls["bob"]) as bob, connect(cluster.urls["alice"]) as alice:
        mine, short = owned(cluster, bob, f"{key}/mine"), owned(cluster, bob, f"{key}/short")
        with cut_off(cluster, "alice"):
            assert alice.put(mine, "alone").acks == 1
            ahead = bob.session(alice.token)
            with pytest.raises(Unmet) as raised:
                ahead.get(mine, on_miss="fail")
            assert [(each.have, each.need) for each in raised.value.missing] != []
            stale = ahead.get(mine, on_miss="stale")
            assert (stale.value, len(stale.missing)) == ("before", 1)
            with pytest.raises(Unavailable) as few:
                bob.put(short, "all", w="all", timeout=1.0)
            assert (few.value.definite, few.value.acks) == (False, 2)
        assert ahead.get(mine).value == "alone"


@dataclass
class Work:
    """What eight clients do while a node dies, and when it is to die."""

    connect: Connect
    urls: list[str]
    key: str
    is_going_on: threading.Event = field(default_factory=threading.Event)

    def run(self, number: int) -> None:
        """Count in a key of this client's own, and lay values beside each other in another one."""
        count, beside = f"{self.key}/{number}/count", f"{self.key}/{number}/beside"
        with self.connect(self.urls) as kv:
            kv.put(count, 0, w="quorum")
            for step in range(STEPS):
                # Where two homes have named a write, its second name may be seen for a moment.
                read = kv.get(count, resolve="max")
                assert read.value == step
                kv.put(count, step + 1, context=read.context, w="quorum")
                kv.put(beside, step, context=NOTHING, w="quorum")
                if step == STEPS // 4:
                    self.is_going_on.set()


def test_a_node_dies_under_eight_clients(cluster: Cluster, connect: Connect, key: str) -> None:
    """No call fails, and no write is lost or done twice."""
    work = Work(connect, [cluster.urls[name] for name in (VICTIM, "bob", "erin")], key)
    with restarted(cluster, VICTIM), ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(work.run, number) for number in range(CLIENTS)]
        assert work.is_going_on.wait(30.0)
        cluster.engine.kill(VICTIM)
        for each in running:
            each.result()
    with connect(work.urls) as kv:
        for number in range(CLIENTS):
            assert kv.get(f"{key}/{number}/count", r="all").value == STEPS
            beside = kv.get(f"{key}/{number}/beside", r="all", resolve=values_of).value
            assert sorted(beside) == list(range(STEPS))


def test_a_node_dies_under_a_bulk(cluster: Cluster, connect: Connect, key: str) -> None:
    """The node dies while it answers.  Each operation is done once, in its order."""
    urls = [cluster.urls[name] for name in (VICTIM, "bob", "erin")]
    keys = [f"{key}/{number}" for number in range(LOADED)]
    killed: list[int] = []
    done: list[str] = []
    with restarted(cluster, VICTIM), connect(urls) as kv:
        for each in kv.bulk((Put(each, each, NOTHING) for each in keys), w="quorum"):
            assert each.written is not None, each.error
            done.append(each.operation.key)
            if not killed and each.written.served_by == cluster.address(VICTIM):
                cluster.engine.kill(VICTIM)
                killed.append(len(done))
    assert (done, len(killed)) == (keys, 1)
    with connect(urls) as kv:
        read = list(kv.bulk((Get(each) for each in keys), r="all"))
    assert [each.value.value for each in read if each.value] == keys
