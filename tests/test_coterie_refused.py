"""Commands whose words contradict each other end with exit code 2 and do nothing."""

from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from cluster.cli.app import app
from cluster.engines.topology import USAGE, Trouble


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("counter", "visits", "add", "5", "--delete"), "expected --delete alone, or `add NUMBER`"),
        (("counter", "visits", "5"), "expected `add NUMBER`, not '5'"),
        (("set", "tags", "--add", "x", "--delete"), "expected --delete alone, or --add and"),
        (("get", "k", "--url", "http://h:1", "--node", "alice"), "expected --url, or --node"),
        (
            ("get", "k", "--url", "http://h:1", "--session", "/no/folder/ann.json"),
            "the session cannot be kept in /no/folder/ann.json: its folder is not there",
        ),
        (("set", "tags", "--remove", "x", "--delete"), "expected --delete alone, or --add and"),
    ],
)
def test_they_are_refused_before_a_node_is_asked(words: tuple[str, ...], sentence: str) -> None:
    trouble = CliRunner().invoke(app, words).exception
    assert isinstance(trouble, Trouble)
    assert str(trouble).startswith(sentence)
    assert trouble.code == USAGE


def test_the_version_is_said() -> None:
    said = CliRunner().invoke(app, ["--version"])
    assert (said.exit_code, said.stdout) == (0, f"coterie {version('coterie')}\n")
