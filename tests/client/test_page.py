"""The examples of docs/client.md, in their order, at a real cluster: each prints what it says."""

import doctest
import re

import pytest

from tests.scenarios.conftest import Cluster
from tests.tables import DOCS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

PAGE = (DOCS / "client.md").read_text(encoding="utf-8")
EXAMPLES = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PORT_OF_ALICE = 8082


def at_the_cluster(text: str, cluster: Cluster) -> str:
    for place, name in enumerate(cluster.names):
        port = cluster.topology.node(name).host_port
        text = text.replace(f"localhost:{PORT_OF_ALICE + place}", f"127.0.0.1:{port}")
    return text


def failures_of(text: str) -> tuple[int, int, str]:
    """Return how many examples failed, of how many, and what doctest says of them."""
    said: list[str] = []
    examples = doctest.DocTestParser().get_doctest(text, {}, "client.md", "docs/client.md", 0)
    result = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    return result.failed, result.attempted, "".join(said)


def test_the_examples_print_what_they_say(cluster: Cluster) -> None:
    blocks = EXAMPLES.findall(PAGE)
    assert len(blocks) == PAGE.count("```python") >= 9
    failed, tried, said = failures_of(at_the_cluster("\n".join(blocks), cluster))
    assert failed == 0, said
    assert tried == PAGE.count("\n>>> ")
    assert "localhost" not in at_the_cluster("".join(blocks), cluster)


def test_an_example_that_says_something_else_is_noticed() -> None:
    assert failures_of(">>> 1 + 1\n3\n")[:2] == (1, 1)
