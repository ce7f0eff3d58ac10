"""A client that exports a cluster of the simulator, or imports lines into one, and waits for it."""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson

from cluster.simulator.world import World
from node.api.contract import BodyLines, Call, Feed, FeedWords, Limits, Refused, Reply
from node.api.native.export import export
from node.api.native.imports import begin
from node.core.protocol.operations import Outcome, Request
from tests.simulation.post import Post
from tests.simulation.talking import facts_of

LIMITS = Limits(value_bytes_max=1000, wait_s_max=2.0)
TURN_S = 0.01
PATIENCE_S = 60.0
NOTHING: Mapping[str, str] = {}
T = TypeVar("T")
Line = dict[str, Any]


class RefusedExportError(Exception):
    """An export or an import that a node has refused, with the words of the problem."""


def exported(world: Post, address: str, query: Mapping[str, str] = NOTHING) -> list[Line]:
    """Return the lines of an export at this node; raises RefusedExportError."""
    said = _at(world, address, "GET", query, export)
    assert isinstance(said, Feed)
    _opened(said.opening, world, address)
    words: list[bytes] = []
    _taken(said.go_on(), world, address, words)
    return [orjson.loads(line) for line in b"".join(words).splitlines()]


def imported(
    world: Post, address: str, lines: Sequence[Line], query: Mapping[str, str] = NOTHING
) -> list[Line]:
    """Return what a node answers to an import of these lines; raises RefusedExportError."""
    said = _at(world, address, "POST", query, begin)
    assert isinstance(said, BodyLines)
    if said.opening is not None:
        _opened(said.opening, world, address)
    body = [orjson.dumps(line) for line in lines]
    text = b""
    for at in range(0, len(body), 100):
        text += _taken(said.answer(body[at : at + 100]), world, address, [])
    return [orjson.loads(line) for line in (text + said.end(None)).splitlines()]


def _at(world: World, address: str, method: str, query: Mapping[str, str], handler: Any) -> Any:
    facts = partial(facts_of, world, address)
    try:
        return handler(Call(method, {}, query, {}, b"", facts, LIMITS))
    except Refused as refusal:
        raise _refused(refusal.reply) from refusal


def _opened(
    steps: Generator[Sequence[Request] | float, Sequence[Outcome], Reply],
    world: Post,
    address: str,
) -> None:
    try:
        reply = _taken(steps, world, address, [])
    except Refused as refusal:
        raise _refused(refusal.reply) from refusal
    if reply.status != 200:
        raise _refused(reply)


def _refused(reply: Reply) -> RefusedExportError:
    problem = orjson.loads(reply.body)
    return RefusedExportError(f"{reply.status} {problem['type']}: {problem['detail']}")


def _taken(
    steps: Generator[Any, Sequence[Outcome], T], world: Post, address: str, words: list[bytes]
) -> T:
    """Take all steps, while the world goes on; return what they return."""
    told: list[Outcome] = []
    try:
        wanted = next(steps)
        while True:
            told = []
            if isinstance(wanted, FeedWords):
                words.append(wanted.text)
            elif isinstance(wanted, float):
                world.wait(wanted)
            else:
                told = _outcomes(wanted, world, address)
            wanted = steps.send(told)
    except StopIteration as end:
        result: T = end.value
        return result


def _outcomes(requests: Sequence[Request], world: Post, address: str) -> list[Outcome]:
    told: dict[int, Outcome] = {}
    for place, request in enumerate(requests):
        world.submit(address, request, partial(told.__setitem__, place))
    until = world.timeline.now + PATIENCE_S
    while len(told) < len(requests):
        assert world.timeline.now < until, "some request is never answered"
        world.wait(TURN_S)
    return [told[place] for place in range(len(requests))]
