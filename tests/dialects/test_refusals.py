"""A refusal of any contract says whether it is certain that nothing changed."""

import pytest

from node.api.contract import Ask, Dialect, Reply, Talk
from node.core.protocol.operations import Outcome, Unavailable
from node.shell.http.router import Table
from tests.dialects.exchanges import DIALECTS, HERE, Block, said_to
from tests.dialects.outcomes import OUTCOMES

NOT_WRITTEN, UNDECIDED = OUTCOMES["not written"], OUTCOMES["undecided"]
UNABLE = (408, 500, 503)


def blocks_of(name: str) -> list[Block]:
    """Return the requests of the contract's exchanges; every route has some."""
    blocks = []
    for text in (HERE / f"{name}.txt").read_text().split("\n\n"):
        above, rule, _ = text.partition("----")
        block = Block()
        for line in above.splitlines() if rule else ():
            block.read(line)
        blocks += [block] if block.method else []
    return blocks


def answered(block: Block, dialect: Dialect, outcome: Outcome) -> Reply | None:
    """Return the reply when the core gives this outcome to all requests; None for a stream."""
    said = said_to(block, Table([dialect]), dialect)
    if isinstance(said, Ask):
        return said.say(outcome)
    if isinstance(said, Talk):
        try:
            wanted = next(said.steps)
            while True:
                asked = () if isinstance(wanted, float) else wanted
                wanted = said.steps.send([outcome for _ in asked])
        except StopIteration as end:
            reply: Reply = end.value
            return reply
    return said if isinstance(said, Reply) else None


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "native"])
@pytest.mark.parametrize("outcome", [NOT_WRITTEN, UNDECIDED], ids=["definite", "unknown"])
def test_every_refusal_says_how_certain_it_is(name: str, outcome: Unavailable) -> None:
    certainty = "definite" if outcome.definite else "unknown"
    said = set()
    for block in blocks_of(name):
        reply = answered(block, DIALECTS[name](), outcome)
        if reply is not None and reply.status in UNABLE:
            said.add(reply.headers.get("Kv-Outcome"))
            assert said <= {"definite", certainty}, (block.target, reply)
            assert "Retry-After" in reply.headers, (block.target, reply)
    assert certainty in said


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.parametrize("outcome", ["not written", "unmet"])
def test_keys_view_names_the_method_that_failed(method: str, outcome: str) -> None:
    block = Block(method, "/kvs/keys/cart", body='{"value":1}')
    reply = answered(block, DIALECTS["keys_view"](), OUTCOMES[outcome])
    assert reply is not None
    assert f'"message":"Error in {method}"'.encode() in reply.body
