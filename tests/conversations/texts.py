"""Finds the texts."""

from pathlib import Path

from tests.conversations.play import played

TEXTS = sorted(Path(__file__).parent.glob("*.txt"))


def played_file(path: Path) -> str:
    return played(path.read_text())
