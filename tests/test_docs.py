"""The documents agree with the code: tables, links, the files and make targets they name.

Sentences of documents and docstrings name the actor: none has "who", "nobody" or "somebody" as its
subject.
"""

import ast
import inspect
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from node.core import status
from tests.house.rules import GUILLEMETS
from tests.simulation.broken_rules import IN_RUNS, IN_STORIES
from tests.simulation.seeds import SEEDS
from tests.simulation.stories_of_views import STORIES_OF_VIEWS
from tests.tables import DOCS, MARKED, TABLES, renewed

ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PROSE = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
SOURCES = sorted(
    source
    for folder in ("node", "cluster", "coterie", "examples", "tests")
    for source in (ROOT / folder).rglob("*.py")
)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]*)\)")
FILE = re.compile(r"`((?:node|cluster|tests|docs|examples|\.ci)/[\w/.-]+)`")
MAKE = re.compile(r"(?:`|^\$ |^)make ([a-z][a-z-]*)(?=[` ]|$)", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
# A paragraph, a heading, a list item or a table cell begins one sentence; a mark begins the next.
BLOCK = re.compile(r"\n\s*\n|^\s*(?:#+|[*-]|\d+\.)\s+|\|", re.MULTILINE)
BETWEEN_SENTENCES = re.compile(r"(?<=[.:;?!])[*_\")]*\s+")
NO_ACTOR = re.compile(
    r"[\W\d_]*(?:who|whom|whose|whoever|nobody|somebody|anybody|everybody)\b", re.IGNORECASE
)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    """The anchors that a forge makes of the headings."""
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text_of(page)))
    return {word.replace(" ", "-") for word in words}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_actor(text: str) -> list[str]:
    """List the sentences that begin with "who", "nobody" or the like instead of their actor.

    A question may begin so. Code and the tables that come from it are left out.
    """
    prose = MARKED.sub("", FENCED.sub("", text))
    sentences = [
        " ".join(sentence.split())
        for block in BLOCK.split(prose)
        for sentence in BETWEEN_SENTENCES.split(block)
    ]
    return [each for each in sentences if NO_ACTOR.match(each) and not each.endswith("?")]


def docstrings_in(text: str) -> list[str]:
    """The docstrings of a module and of all that it defines."""
    owners = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, owners)]
    return [docstring for node in nodes if (docstring := ast.get_docstring(node))]


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
    source = (ROOT / "node/shell/http/metrics.py").read_text(encoding="utf-8")
    page = text_of(DOCS / "operations.md")
    assert [name for name in re.findall(r'"(coterie_\w+)"', source) if f"`{name}" not in page] == []


def test_every_field_of_the_status_is_documented() -> None:
    page = text_of(DOCS / "operations.md")
    fields = [word for word in status_fields() if f"`{word}`" not in page]
    assert fields == []


def status_fields() -> set[str]:
    """The keys that node.core.status writes into its answer."""
    tree = ast.parse(inspect.getsource(status.status) + inspect.getsource(status._peer))
    dicts = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = [key for each in dicts for key in each.keys if isinstance(key, ast.Constant)]
    return {str(key.value) for key in keys}


def test_the_readme_counts_seeds_and_broken_rules() -> None:
    stories = IN_STORIES + STORIES_OF_VIEWS
    broken = {name for _, name in IN_RUNS} | {rule.__name__ for _, rule in stories}
    lines = text_of(ROOT / "README.md").splitlines()
    assert f"{len(SEEDS)} seeds, {len(broken)} broken rules" in lines


# ------------------------------------------------------------------ prose


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_sentences_name_their_actor(page: Path) -> None:
    assert without_actor(text_of(page)) == []


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_docstrings_name_their_actor(source: Path) -> None:
    docstrings = docstrings_in(text_of(source))
    assert [each for docstring in docstrings for each in without_actor(docstring)] == []


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_quotation_marks_are_plain(page: Path) -> None:
    assert GUILLEMETS.findall(text_of(page)) == []


def test_a_guillemet_is_noticed() -> None:
    assert GUILLEMETS.findall("The node says \u00abdone\u00bb.")


BAD_PROSE = (
    "Who wants both uses siblings mode.",
    "The node answers. Whoever still wants an answer\nasks again.",
    "One contact is enough: who hears a newer row hears of a new incarnation, too.",
    "The node writes; nobody waits for it.",
    "* an item\n* **Nobody waits** for an unreachable node.",
    "**R1 Adopt.** Who gets a letter under another view says hello.",
    "1. `Views` goes to all nodes.\n2. Who has not heard hears with the next word.",
    "# 0016 Nobody says no before all has arrived",
    "| a crash | nobody has heard of the proposal |",
    "A number, as 0.3 s or `a.b`, ends no sentence. Nobody knows.",
    "The page is left over: whose it was does not matter, and it goes.",
    "The node waits. Somebody else answers, and everybody is told.",
)


@pytest.mark.parametrize("text", BAD_PROSE)
def test_a_sentence_without_an_actor_is_noticed(text: str) -> None:
    assert len(without_actor(text)) == 1


GOOD_PROSE = (
    "A client who has seen the write sees it again, and nobody else need know.",
    "The question is old. Who owns the key?",
    "```\nNobody reads a listing.\n```",
    "[the decision](decisions/0016-nobody-says-no.md)",
    "The node asks: whole stores answer.",
)


@pytest.mark.parametrize("text", GOOD_PROSE)
def test_other_sentences_pass(text: str) -> None:
    assert without_actor(text) == []


BAD_SOURCES = (
    '"""Whoever calls waits."""',
    'class Link:\n    """One link.\n\n    Nobody dials twice.\n    """',
    'def send() -> None:\n    """Queue the letter; who is no peer is ignored."""',
    'class Link:\n    async def run(self) -> None:\n        """Until it ends: nobody stops it."""',
)


@pytest.mark.parametrize("text", BAD_SOURCES)
def test_a_docstring_without_an_actor_is_noticed(text: str) -> None:
    assert sum(len(without_actor(each)) for each in docstrings_in(text)) == 1
