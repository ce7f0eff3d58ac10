"""The documents agree with the code: tables, links, the files and make targets they name."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.tables import DOCS, TABLES, renewed

ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]*)\)")
FILE = re.compile(r"`((?:node|cluster|tests|docs|examples|\.ci)/[\w/.-]+)`")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NOT_TARGETS = {"sure"}


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
    assert set(MAKE.findall(text_of(page))) - targets - NOT_TARGETS == set()


def test_the_two_commands_stand_in_the_readme() -> None:
    lines = text_of(ROOT / "README.md").splitlines()
    assert "make cluster SHARDS=2" in lines
    assert "make test" in lines
