"""The server drops nothing silently that a request says twice."""

import json

import pytest

from node.core.protocol.operations import Put
from tests.web import served

ONE = '{"v":1,"t":{"AAAAAA.1":[0,{"7":"AAAAAG"}]}}'
TWO = '{"v":1,"t":{"BBBBBB.1":[0,{"4":"AAAAAQ"}]}}'
DOTS = {("AAAAAA.1", 7), ("BBBBBB.1", 4)}
PUT = b'{"value":1}'


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (PUT, (f"X-Causal-Metadata: {ONE}", f"X-Causal-Metadata: {TWO}")),
        (PUT, (f"X-Causal-Metadata: {ONE}, {TWO}",)),
        (b'{"value":1,"causal-metadata":%b}' % ONE.encode(), (f"x-causal-metadata: {TWO}",)),
        (
            b'{"causal-metadata":%b,"value":1,"causal-metadata":%b}' % (ONE.encode(), TWO.encode()),
            (),
        ),
    ],
)
async def test_metadata_that_come_twice_are_joined(body: bytes, lines: tuple[str, ...]) -> None:
    async with served() as site:
        site.driver.holds = True
        wire = await site.wire()
        length = f"Content-Length: {len(body)}"
        head = "\r\n".join(("PUT /kvs/cart HTTP/1.1", "Host: node", length, *lines))
        wire.send(head.encode() + b"\r\n\r\n" + body)
        operation, done = await site.driver.held.get()
        assert isinstance(operation, Put)
        assert set(operation.token.exact) == DOTS
        done(site.driver.outcome_of(operation))
        assert (await wire.read()).status == 201


@pytest.mark.parametrize("second", ["Content-Length: 11", "Content-Length: 5"])
async def test_two_lengths_are_refused(second: str) -> None:
    async with served() as site:
        said = await site.ask("PUT", "/kvs/cart", PUT, second)
        assert said.status == 400
        assert site.driver.values == {}
        json.loads(said.body)
