"""Commands whose words contradict each other end with exit code 2 and do nothing."""

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
        (("set", "tags", "--remove", "x", "--delete"), "expected --delete alone, or --add and"),
    ],
)
def test_a_delete_changes_nothing_else(words: tuple[str, ...], sentence: str) -> None:
    trouble = CliRunner().invoke(app, words).exception
    assert isinstance(trouble, Trouble)
    assert str(trouble).startswith(sentence)
    assert trouble.code == USAGE
