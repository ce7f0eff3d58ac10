"""The documents agree with the code: tables, links, the files and make targets they name."""

import ast
import inspect
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from node.core import report
from tests.tables import DOCS, TABLES, renewed

ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]*)\)")
FILE = re.compile(r"`((?:node|cluster|tests|docs|examples|\.ci)/[\w/.-]+)`")
MAKE = re.compile(r"(?:`|^\$ |^)make ([a-z][a-z-]*)(?=[` ]|$)", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    """The anchors that a forge makes of the headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(page)))
    return {word.replace(" ", "-") for word in words}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_generated_tables_are_up_to_date(page: Path) -> None:
    assert renewed(text_of(page)) == text_of(page), "run `python -m tests.tables`"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_somewhere(name: str) -> None:
    assert any(f"<!-- table: {name} -->" in text_of(page) for page in PAGES)


def test_an_old_table_is_noticed() -> None:
    old = "<!-- table: messages -->\n\n| message |\n\n<!-- end -->"
    assert renewed(old) != old
    assert renewed(renewed(old)) == renewed(old)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", text_of(page))):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    assert [name for name in FILE.findall(text_of(page)) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*)[^:=\n]*:(?!=)", makefile, re.MULTILINE))
    assert set(MAKE.findall(text_of(page))) - targets == set()


def test_the_two_commands_stand_in_the_readme() -> None:
    lines = text_of(ROOT / "README.md").splitlines()
    assert "make cluster SHARDS=2" in lines
    assert "make test" in lines


def test_every_metric_is_documented() -> None:
    source = (ROOT / "node/shell/metrics.py").read_text(encoding="utf-8")
    page = text_of(DOCS / "operations.md")
    assert [name for name in re.findall(r'"(coterie_\w+)"', source) if f"`{name}" not in page] == []


def test_every_field_of_the_status_is_documented() -> None:
    page = text_of(DOCS / "operations.md")
    fields = [word for word in status_fields() if f"`{word}`" not in page]
    assert fields == []


def status_fields() -> set[str]:
    """The keys that node.core.report writes into its answer."""
    tree = ast.parse(inspect.getsource(report.status) + inspect.getsource(report._peer))
    dicts = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = [key for each in dicts for key in each.keys if isinstance(key, ast.Constant)]
    return {str(key.value) for key in keys}
