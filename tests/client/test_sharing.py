"""Threads, or tasks, that share one session: each sees what all have done before."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from coterie import AsyncClient, Client, Unmet
from coterie.session_core import REQUESTS_MAX
from tests.client.faults import cut_off, owned
from tests.scenarios.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

SHARING = 8
WRITES = 6
MANY = 3 * REQUESTS_MAX


def test_threads_that_share_a_session_see_all_its_writes(cluster: Cluster, key: str) -> None:
    start = threading.Barrier(SHARING)
    with Client(list(cluster.urls.values())) as kv, ThreadPoolExecutor(SHARING) as pool:

        def work(number: int) -> None:
            start.wait()
            for step in range(WRITES):
                kv.put(f"{key}/{number}", step)
                start.wait()
                for other in range(SHARING):
                    assert kv.get(f"{key}/{other}").value == step
                start.wait()

        for each in [pool.submit(work, number) for number in range(SHARING)]:
            each.result()
        assert 1 <= len(kv.token.split(",")) <= SHARING


async def test_tasks_that_share_a_session_see_all_its_writes(cluster: Cluster, key: str) -> None:
    async with AsyncClient(list(cluster.urls.values())) as kv:
        await asyncio.gather(*(kv.put(f"{key}/{n}", n) for n in range(MANY)))
        assert 1 <= len(kv.token.split(",")) <= REQUESTS_MAX
        read = await asyncio.gather(*(kv.get(f"{key}/{n}") for n in range(MANY)))
        assert [value.value for value in read] == list(range(MANY))
        await kv.get(f"{key}/0")
        assert "," not in kv.token


async def test_writes_at_the_same_time_are_all_depended_on(cluster: Cluster, key: str) -> None:
    """Both writes begin with the same token, at a node that is cut off; another node lacks both,
    and says so of each."""
    with Client(cluster.urls["bob"]) as bob:
        keys = [owned(cluster, bob, f"{key}/{n}") for n in range(2)]
        async with AsyncClient(cluster.urls["alice"]) as alice:
            with cut_off(cluster, "alice"):
                await asyncio.gather(*(alice.put(each, "alone") for each in keys))
                apart = alice.token
                await alice.get(keys[0])
                joined = alice.token
                assert (apart.count(","), joined.count(",")) == (1, 0)
                for token in (apart, joined):
                    for each in keys:
                        with pytest.raises(Unmet):
                            bob.session(token).get(each, on_miss="fail")
        assert [bob.session(joined).get(each).value for each in keys] == ["alone"] * 2


async def test_a_call_that_is_cancelled_leaves_its_place(cluster: Cluster, key: str) -> None:
    async with AsyncClient(list(cluster.urls.values())) as kv:
        await kv.put(key, 1)
        for _ in range(2):
            tasks = [asyncio.create_task(kv.get(key)) for _ in range(MANY)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
        assert (await kv.get(key)).value == 1
