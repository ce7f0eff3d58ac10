"""docs/api.md has a row for each request of the description, and says nothing else than that."""

import re

import pytest

from node.api.native.problems import KINDS
from node.api.openapi.document import OPERATIONS
from tests.api_page import PAGE, ROWS, Row

KIND = re.compile(r"^\| (\d{3}) \| `([\w-]+)` \|", re.MULTILINE)
STATUS = re.compile(r"\b[2-5]\d{2}\b")
NODE = re.compile(r"localhost:808\d")
NO_KEY = ("/v1/kv/", "/v1/counters/", "/v1/sets/")  # a row shows what all methods of each answer


def test_every_command_stands_in_a_row() -> None:
    assert len(ROWS) == PAGE.count("| `curl ") > 30


def test_every_request_of_the_description_has_a_row() -> None:
    described = {(method, path) for method, path in OPERATIONS if path not in NO_KEY}
    rows = {(row.method, row.path) for row in ROWS}
    assert described <= rows
    assert rows - described == {("HEAD", "/v1/kv/{key}"), *(("GET", path) for path in NO_KEY)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path} {row.status}")
def test_a_row_is_of_its_request_and_names_statuses_of_the_description(row: Row) -> None:
    operation = OPERATIONS["GET" if row.method == "HEAD" else row.method, row.path]
    assert set(STATUS.findall(row.answer)) <= set(operation["responses"])
    assert f"-X {row.method} " in row.command or row.method in ("GET", "HEAD")
    assert f"NODE{row.path.partition('{')[0]}" in NODE.sub("NODE", row.command)


def test_the_page_lists_all_kinds_of_problems() -> None:
    listed = {kind: int(status) for status, kind in KIND.findall(PAGE)}
    assert listed == {name: kind.status for name, kind in KINDS.items()}
