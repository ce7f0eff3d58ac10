"""The house rules that a machine can see: who imports whom, banned calls, sizes, docstrings.

A rule is a generator over one parsed file; whatever it yields is a complaint.  The tables say what
is allowed, and the last tests feed each rule a snippet that breaks it: a rule that cannot fail
proves nothing.  (docs/architecture.md, «The house».)
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOPS = ("node", "cluster", "tests", "examples", "docs")
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 350
COLUMNS_MAX = 100

# ------------------------------------------------------------------ the tables

# The core, upwards: a file imports only from the rows above its own, never from its own row.
CORE_ROWS = (
    "clock hybrid detector",
    "token view",
    "siblings lives",
    "messages cache",
    "effects quorum judging",
    "keylog turn",
    "keyspace",
    "exchange repair waiting reading counting",
    "upkeep",
    "replica",
    "report",
)
CORE_ROW = {name: i for i, row in enumerate(CORE_ROWS) for name in row.split()}

DATA = (
    "msgspec base64 bisect collections dataclasses enum functools hashlib heapq itertools math "
    "operator random re struct typing zlib"
)
ANY = None

# What a package may import of ours, and of others; the first match counts.
IMPORTS: tuple[tuple[str, str, str | None], ...] = (
    ("node.core", "node.core", DATA),
    ("node.driver", "node.core", "collections typing"),
    (
        "node.dialects",
        "node.dialects node.core.messages node.core.siblings node.core.token node.core.view",
        f"{DATA} json orjson urllib",
    ),
    (
        "node.shell",
        "node.shell node.driver node.dialects.contract node.dialects.words node.core.effects "
        "node.core.messages node.core.report node.core.token node.core.view",
        ANY,
    ),
    ("node.config", "", ANY),
    ("node.__main__", "node", ANY),
    ("node", "", ANY),
    ("cluster.simulation", "cluster node.core node.driver", ANY),
    ("cluster", "cluster node", ANY),
    ("tests", "tests node cluster examples docs", ANY),
    ("docs", "node cluster", ANY),
    ("examples", "examples", ANY),
)
OURS = "node cluster tests examples docs"

# Nothing in these may ask the machine for anything: what they say depends on arguments alone.
PURE = re.compile(r"node\.(core|driver|dialects)\b|cluster\.(workload|faults|history|checker)")
IMPURE = "asyncio aiohttp logging os secrets socket subprocess threading time uuid"
BANNED_CALLS = ("breakpoint", "eval", "exec", "hash", "input", "open", "print")

# The only places that may catch everything, with their number: each must outlive a mistake.
BROAD_EXCEPTS = {
    "node.__main__": 1,  # the last line of defence
    "node.shell.links": 1,  # a bug in one handler must not end the link
    "node.shell.server": 1,  # nor the server
    "cluster.campaign": 1,  # whatever a seed raises is its verdict
}
REASONED_IGNORE = re.compile(r"# type: ignore\[[a-z-]+(, ?[a-z-]+)*\]\s+(# )?\S")


@dataclass(frozen=True)
class Source:
    """One file, parsed."""

    module: str
    text: str
    tree: ast.Module
    is_package: bool = False

    def is_in(self, package: str) -> bool:
        return f"{self.module}.".startswith(f"{package}.")


Rule = Callable[[Source], Iterator[str]]

# ------------------------------------------------------------------ the rules


def imports_of(source: Source) -> Iterator[tuple[int, str]]:
    """(line, module) of each import; `from node.core import messages` is node.core.messages."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "." * node.level
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in modules() else str(node.module)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in files())


def within(module: str, packages: str) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages.split())


def who_imports_whom(source: Source) -> Iterator[str]:
    """The table of imports; relative ones hide who is meant."""
    _, ours, others = next(row for row in IMPORTS if source.is_in(row[0]))
    for line, module in imports_of(source):
        if module.startswith("."):
            yield f"line {line}: a relative import"
        elif within(module, OURS):
            if not within(module, ours):
                yield f"line {line}: {source.module} must not import {module}"
        elif others is not None and not within(module, others):
            yield f"line {line}: {source.module} must not import {module}"


def core_downwards(source: Source) -> Iterator[str]:
    """The table of rows: every file of the core stands in it, and knows only what is below."""
    if not source.is_in("node.core") or source.is_package:
        return
    name = source.module.rpartition(".")[2]
    if name not in CORE_ROW:
        yield f"{name} has no row in CORE_ROWS"
        return
    for line, module in imports_of(source):
        other = module.removeprefix("node.core.")
        if other in CORE_ROW and CORE_ROW[other] >= CORE_ROW[name]:
            yield f"line {line}: {name} must not know {other}"


def pure_places(source: Source) -> Iterator[str]:
    """No I/O, no clock, no chance of its own."""
    if not PURE.match(source.module):
        return
    for line, module in imports_of(source):
        if within(module, IMPURE):
            yield f"line {line}: {module} in a pure place"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BANNED_CALLS:
            yield f"line {node.lineno}: {ast.unparse(node.func)}() in a pure place"
    yield from _own_chance(source)


def _own_chance(source: Source) -> Iterator[str]:
    """Of `random` only the type; a generator that is given may have that name, too."""
    has_module = any(
        alias.name == "random"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    )
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "random":
            names = [node.attr] if has_module else []
        else:
            continue
        for name in names:
            if name != "Random":
                yield f"line {node.lineno}: random.{name} is chance of its own"


def sizes(source: Source) -> Iterator[str]:
    lines = source.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{len(lines)} lines; at most {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield f"line {number}: {len(line)} columns; at most {COLUMNS_MAX}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"line {node.lineno}: {node.name} has {length} lines"


def opens_with_its_law(source: Source) -> Iterator[str]:
    if source.tree.body and not ast.get_docstring(source.tree):
        yield "no docstring: what is this file, and what must it not know?"


def narrow_excepts(source: Source) -> Iterator[str]:
    broad = [
        node.lineno
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _ends_in_raise(node)
    ]
    if len(broad) > BROAD_EXCEPTS.get(source.module, 0):
        yield f"lines {broad}: catches everything"


def _is_broad(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(name) in ("Exception", "BaseException") for name in names)


def _ends_in_raise(handler: ast.ExceptHandler) -> bool:
    """What is passed on is not swallowed."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def reasoned_ignores(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        _, mark, comment = line.partition("# type: ignore")
        if mark and '"' not in comment and not REASONED_IGNORE.match(mark + comment):
            yield f"line {number}: type: ignore wants a [code] and, behind it, the reason"


def no_sleep_in_tests(source: Source) -> Iterator[str]:
    if not source.is_in("tests"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep"):
            yield f"line {node.lineno}: waits for real time; wait for an event"


RULES: tuple[Rule, ...] = (
    who_imports_whom,
    core_downwards,
    pure_places,
    sizes,
    opens_with_its_law,
    narrow_excepts,
    reasoned_ignores,
    no_sleep_in_tests,
)

# ------------------------------------------------------------------ the files


@cache
def files() -> tuple[Path, ...]:
    return tuple(sorted(path for top in TOPS for path in (ROOT / top).rglob("*.py")))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source_of(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    return Source(module_of(path), text, ast.parse(text), path.name == "__init__.py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_tidy(path: Path) -> None:
    source = source_of(path)
    assert [complaint for rule in RULES for complaint in rule(source)] == []


def test_the_rows_name_files_that_exist() -> None:
    assert set(CORE_ROW) == {p.stem for p in (ROOT / "node/core").glob("*.py")} - {"__init__"}


def test_the_places_that_may_catch_everything_exist() -> None:
    assert set(BROAD_EXCEPTS) <= modules()


# ------------------------------------------------------------------ each rule can fail

LAW = '"""A law."""\n'
BAD: tuple[tuple[Rule, str, str], ...] = (
    (who_imports_whom, "node.core.x", "import orjson"),
    (who_imports_whom, "node.core.x", "from node.driver import Driver"),
    (who_imports_whom, "node.driver", "from node.shell.store import SqliteStore"),
    (who_imports_whom, "node.dialects.x", "from node.core.replica import Replica"),
    (who_imports_whom, "node.dialects.x", "from aiohttp import web"),
    (who_imports_whom, "node.shell.x", "from node.dialects.asg4 import asg4"),
    (who_imports_whom, "node.shell.x", "from node.core.keyspace import Keyspace"),
    (who_imports_whom, "node.__main__", "import cluster.simulation"),
    (who_imports_whom, "cluster.simulation", "from node.shell import loop"),
    (who_imports_whom, "cluster.x", "from tests import test_tidy"),
    (who_imports_whom, "tests.x", "from .test_tidy import sizes"),
    (core_downwards, "node.core.clock", "from node.core.token import Token"),
    (core_downwards, "node.core.repair", "from node.core.exchange import serve"),
    (core_downwards, "node.core.waiting", "from node.core import replica"),
    (core_downwards, "node.core.newcomer", "import msgspec"),
    (pure_places, "node.core.x", "import time"),
    (pure_places, "node.core.x", "from os import environ"),
    (pure_places, "node.core.x", "from random import choice"),
    (pure_places, "node.core.x", "import random\nrandom.shuffle([])"),
    (pure_places, "cluster.checker", "import asyncio"),
    *((pure_places, "node.core.x", f"{call}('x')") for call in BANNED_CALLS),
    (sizes, "node.x", "x = 1\n" * (FILE_LINES_MAX + 1)),
    (sizes, "node.x", "x = '" + "x" * COLUMNS_MAX + "'"),
    (sizes, "node.x", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    (opens_with_its_law, "node.x", "x = 1"),
    (narrow_excepts, "node.core.x", "try:\n    pass\nexcept Exception:\n    pass"),
    (narrow_excepts, "node.core.x", "try:\n    pass\nexcept:\n    pass"),
    (narrow_excepts, "tests.x", "try:\n    pass\nexcept (OSError, BaseException):\n    pass"),
    (narrow_excepts, "node.shell.links", "try:\n    pass\nexcept Exception:\n    pass\n" * 2),
    (reasoned_ignores, "node.x", "x = 1  # type" + ": ignore"),
    (reasoned_ignores, "node.x", "x = 1  # type" + ": ignore[misc]"),
    (no_sleep_in_tests, "tests.x", "import time\ntime.sleep(1)"),
)


def name_of(each: Rule | str) -> str:
    """The same in every process: what a function prints as is not."""
    return each if isinstance(each, str) else each.__name__


@pytest.mark.parametrize(("rule", "module", "text"), BAD, ids=name_of)
def test_rule_complains(rule: Rule, module: str, text: str) -> None:
    assert list(rule(Source(module, text, ast.parse(text))))


GOOD = (
    ("node.x", "try:\n    pass\nexcept BaseException:\n    raise"),
    ("node.core.repair", "from node.core.clock import Clock\nimport msgspec\nimport random\n"),
    ("node.core.x", "def f(random): return random.choice([1])"),
    ("node.shell.links", "try:\n    pass\nexcept Exception:\n    pass"),
    ("node.x", "x = 1  # type" + ": ignore[misc]  # the library has no types"),
)


@pytest.mark.parametrize(("module", "text"), GOOD)
def test_rules_let_pass(module: str, text: str) -> None:
    source = Source(module, LAW + text, ast.parse(LAW + text))
    rules = [rule for rule in RULES if module != "node.core.x" or rule is not core_downwards]
    assert [complaint for rule in rules for complaint in rule(source)] == []
