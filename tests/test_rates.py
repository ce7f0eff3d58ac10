"""How often a client may ask: the buckets, and what a client that asks too often is told."""

from dataclasses import replace

import orjson
import pytest

from node.api.native.key_values import key_values
from node.shell.http.rates import CLIENTS_MAX, Rates
from tests.web import PORT_LIMITS, served


def test_a_bucket_holds_two_seconds_and_is_refilled() -> None:
    now = [100.0]
    rates = Rates(10, lambda: now[0])
    assert [rates.wait_s("ann") for _ in range(20)] == [0.0] * 20
    assert rates.wait_s("ann") == pytest.approx(0.1)
    assert rates.wait_s("bob") == 0.0
    now[0] += 0.25
    assert [rates.wait_s("ann") for _ in range(2)] == [0.0, 0.0]
    assert rates.wait_s("ann") == pytest.approx(0.05)
    now[0] += 3600
    assert [rates.wait_s("ann") for _ in range(20)] == [0.0] * 20
    assert rates.wait_s("ann") > 0


def test_no_more_clients_are_remembered_than_the_bound() -> None:
    rates = Rates(0.5, lambda: 1.0)
    assert rates.wait_s("ann") == 0.0
    assert rates.wait_s("ann") > 0
    for number in range(CLIENTS_MAX - 1):
        rates.wait_s(f"client {number}")
    assert rates.wait_s("ann") > 0
    for number in range(CLIENTS_MAX):
        rates.wait_s(f"client {number}")
    assert rates.wait_s("ann") == 0.0


async def test_a_client_that_asks_too_often_is_told_when_to_ask_again() -> None:
    limits = replace(PORT_LIMITS, requests_per_s_max=1)
    async with served(key_values(), port_limits=limits) as site:
        answers = [await site.ask("PUT", "/v1/kv/a", b"x") for _ in range(3)]
        assert [answer.status for answer in answers] == [201, 200, 429]
        assert answers[2].headers["retry-after"] == "1"
        assert answers[2].headers["kv-outcome"] == "definite"
        problem = orjson.loads(answers[2].body)
        assert problem["type"] == "/v1/problems/too-many"
        assert (problem["definite"], problem["retryable"]) == (True, True)
        assert "REQUESTS_PER_S_MAX=1" in problem["detail"]
        assert (await site.ask("GET", "/livez")).status == 200  # an orchestrator may ask always


async def test_a_contract_says_it_in_its_own_words() -> None:
    async with served(port_limits=replace(PORT_LIMITS, requests_per_s_max=1)) as site:
        answers = [await site.ask("GET", "/kvs/none") for _ in range(3)]
        assert [answer.status for answer in answers] == [404, 404, 429]
        assert b"REQUESTS_PER_S_MAX" in answers[2].body
