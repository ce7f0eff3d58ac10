"""A talk over HTTP: several requests of the core, and waits between them, make one answer."""

from node.api.contract import Dialect, Reply, Route, Steps, Talk
from node.core.protocol.operations import Get, Put
from tests.web import not_found, served


def steps() -> Steps:
    (stored,) = yield (Put("cart", b"1"),)
    nothing = yield 0.01
    found = yield [Get("cart"), Get("none")]
    kinds = [type(outcome).__name__ for outcome in (stored, *nothing, *found)]
    return Reply(200, ",".join(kinds).encode())


def crashing() -> Steps:
    yield 0.0
    raise RuntimeError("a secret")


TALKING = Dialect(
    "talking",
    (
        Route("GET", "/talk", lambda call: Talk(steps())),
        Route("GET", "/crash", lambda call: Talk(crashing())),
    ),
    not_found,
)


async def test_each_step_is_sent_what_it_asked_for() -> None:
    async with served(TALKING) as site:
        said = await site.ask("GET", "/talk")
        assert (said.status, said.body) == (200, b"Stored,Found,Absent")


async def test_a_step_that_crashes_is_a_500() -> None:
    async with served(TALKING) as site:
        said = await site.ask("GET", "/crash")
        assert said.status == 500
        assert b"secret" not in said.body
