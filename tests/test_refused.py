"""Refusals over HTTP: the server answers a raised refusal in the contract's words."""

from dataclasses import replace

import pytest

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.parsing import bad_request, words_in
from node.core.protocol.operations import Get, Outcome
from tests.web import VALUE_BYTES_MAX, Said, not_found, served

GET = Get("cart")


def at_once(call: Call) -> Reply:
    raise bad_request("at once")


def say(outcome: Outcome) -> Reply:
    raise bad_request("in say")


def steps(is_late: bool) -> Steps:
    if is_late:
        yield (GET,)
    raise bad_request("in a step")


REFUSING = Dialect(
    "refusing",
    (
        Route("GET", "/handler", at_once),
        Route("PUT", "/handler", at_once),
        Route("GET", "/say", lambda call: Ask(GET, say)),
        Route("GET", "/first", lambda call: Talk(steps(False))),
        Route("GET", "/later", lambda call: Talk(steps(True))),
    ),
    not_found,
)


def worded(call: Call, reply: Reply) -> Reply:
    return Reply(418, f"{call.method}: {words_in(reply)}".encode())


async def asked(dialect: Dialect, path: str, method: str = "GET", body: bytes = b"") -> Said:
    async with served(dialect) as site:
        return await site.ask(method, path, body)


@pytest.mark.parametrize(
    ("path", "words"),
    [("/handler", "at once"), ("/say", "in say"), ("/first", "in a step"), ("/later", "in a step")],
)
async def test_a_refusal_is_the_answer(path: str, words: str) -> None:
    said = await asked(REFUSING, path)
    assert (said.status, said.body) == (400, f'{{"error":"{words}"}}'.encode())
    reworded = await asked(replace(REFUSING, reword=worded), path)
    assert (reworded.status, reworded.body) == (418, f"GET: {words}".encode())


async def test_a_refusal_of_a_head_is_reworded_too() -> None:
    assert (await asked(replace(REFUSING, reword=worded), "/handler", "HEAD")).status == 418


async def test_what_the_server_refuses_itself_is_not_reworded() -> None:
    body = b"x" * 7 * VALUE_BYTES_MAX
    assert (await asked(replace(REFUSING, reword=worded), "/handler", "PUT", body)).status == 413


def test_a_refusal_shows_its_reply() -> None:
    assert "no such shard" in str(Refused(bad_request("no such shard").reply))
