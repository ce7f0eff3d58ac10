"""The commands of docs/examples.md, with what the page says that they print."""

import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from tests.tables import DOCS

ROOT = Path(__file__).parents[2]
PAGE = (DOCS / "examples.md").read_text("utf-8")
BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT = "$ "
COMMAND = "$ python -m examples."


class Shown(NamedTuple):
    """A command, and the parts of its output that the page shows."""

    command: str
    parts: list[str]

    @property
    def arguments(self) -> list[str]:
        return [sys.executable, *shlex.split(self.command)[1:]]

    def missing_in(self, output: str) -> str:
        """Return the first part that the output does not have in its place; "" if it has all."""
        for part in self.parts:
            before, found, output = output.partition(part)
            if not found or (before and not before.endswith("\n")):
                return part
        return ""


def commands() -> list[Shown]:
    """Return all commands of the page that tell a story."""
    return [shown_in(block) for block in BLOCK.findall(PAGE) if COMMAND in block]


def shown_in(block: str) -> Shown:
    """Return the last command of a block, and what stands below it."""
    lines = block.splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if line.startswith(PROMPT))
    below = "".join(lines[last + 1 :])
    parts = [part for part in re.split(r"^\.\.\.\n", below, flags=re.MULTILINE) if part]
    return Shown(lines[last].removeprefix(PROMPT).strip(), parts)
