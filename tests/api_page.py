"""docs/api.md as rows: a request, the command that makes it, and its answer.

The status in bold is the one with which the command is answered, if all commands run in the order
of the page.
"""

import re
from typing import NamedTuple

from tests.tables import DOCS

PAGE = (DOCS / "api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z]+) (/[^`?]*)[^`]*`[^|]*\| `(curl .*?)` \| (.*) \|$", re.MULTILINE)
BOLD = re.compile(r"\*\*(\d{3})\*\*")


class Row(NamedTuple):
    """One request of the page."""

    method: str
    path: str
    command: str
    answer: str

    @property
    def status(self) -> str:
        [found] = BOLD.findall(self.answer)
        return str(found)


ROWS = [Row(*found) for found in ROW.findall(PAGE)]
