"""Each row of the tables about levels in docs/consistency.md is played, and says what happens.

A cell lists all that can happen.  A play finds what does happen with its choices: which replicas
have the write, which of them stops, where a client reads, and with whose token.  What a cell lists
and what a play has found must be the same.
"""

import re

import pytest

from tests.simulation.levels import (
    COPIES,
    READ_LEVELS,
    acknowledged,
    after_a_lost_disk,
    once_repaired,
    while_all_are_up,
    while_one_is_down,
)
from tests.tables import DOCS

# One worker plays all that the rows need, once, with the first row.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("levels"), pytest.mark.timeout(600)]

CELL = re.compile(r"(?<!\\)\|")


def rows_below(head: str) -> list[list[str]]:
    """Return the cells of the table of the page whose first line begins like this."""
    lines = iter((DOCS / "consistency.md").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(head):
            break
    next(lines)
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("`", "") for cell in CELL.split(line)[1:-1]])
    return rows


WRITES = rows_below("| `w` | all replicas are up |")
HINTED = rows_below("| `w` with hints | all replicas are up |")
PAIRS = rows_below("| `w` | `r` | all up: token |")


def listed(cell: str) -> set[str]:
    return set(cell.split(" or "))


def test_the_tables_have_a_row_for_each_level_and_each_pair() -> None:
    assert [row[0] for row in WRITES] == [row[0] for row in HINTED] == list(COPIES)
    assert [tuple(row[:2]) for row in PAIRS] == [(w, r) for w in COPIES for r in READ_LEVELS]


@pytest.mark.parametrize("row", WRITES, ids=lambda row: row[0])
def test_a_write_is_answered_as_its_row_says(row: list[str]) -> None:
    level, *cells = row
    found = [acknowledged(down, "true")[level] for down in range(4)]
    assert [listed(cell) for cell in cells] == found


@pytest.mark.parametrize("row", HINTED, ids=lambda row: row[0])
def test_a_write_with_hints_is_answered_as_its_row_says(row: list[str]) -> None:
    level, *cells = row
    found = [acknowledged(down, "false")[level] for down in range(4)]
    assert [listed(cell) for cell in cells] == found


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: f"w={row[0]}&r={row[1]}")
def test_a_reader_is_shown_what_its_row_says(row: list[str]) -> None:
    w, r, *cells = row
    plays = (while_all_are_up, while_one_is_down, after_a_lost_disk)
    found = [play()[w, r, has_token] for play in plays for has_token in (True, False)]
    repaired = once_repaired()
    assert repaired[w, r, True] == repaired[w, r, False]
    assert [listed(cell) for cell in cells] == [*found, repaired[w, r, True]]
