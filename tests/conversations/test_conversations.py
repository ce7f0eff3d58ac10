"""Every conversation goes as its text says; `python -m tests.conversations --rewrite` accepts."""

from pathlib import Path

import pytest

from tests.conversations.texts import TEXTS, played_file


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_goes_as_written(path: Path) -> None:
    assert played_file(path) == path.read_text()


def test_there_are_texts() -> None:
    assert len(TEXTS) >= 32
