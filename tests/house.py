"""The house rules that a machine can see: who imports whom, banned calls, sizes, docstrings.

A rule is a generator over one parsed file; whatever it yields is a complaint.  The tables say what
is allowed.  `test_tidy` applies them all to every file.  (docs/architecture.md, «The house».)
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOPS = ("node", "cluster", "coterie", "tests", "examples", "docs")
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 350
COLUMNS_MAX = 100

# ------------------------------------------------------------------ the tables

# The core, upwards: a file imports only from the rows above its own, never from its own row.
CORE_ROWS = (
    "view hybrid detector",
    "clock lives history placement",
    "parts token",
    "siblings walk",
    "requests cache",
    "messages",
    "effects quorum judging",
    "keylog turn sweep tally digest",
    "reached changes told",
    "keyspace",
    "exchange repair waiting reading counting",
    "mending",
    "moving",
    "proposing gossip holding healing",
    "scrub weighing",
    "upkeep",
    "home answering listing",
    "replica",
    "report",
)
CORE_ROW = {name: i for i, row in enumerate(CORE_ROWS) for name in row.split()}

DATA = (
    "msgspec base64 bisect collections contextlib dataclasses enum functools hashlib heapq "
    "itertools math operator random re struct typing zlib"
)
ANY = None

# What a package may import of ours, and of others; the first match counts.
IMPORTS: tuple[tuple[str, str, str | None], ...] = (
    ("node.core", "node.core", DATA),
    ("node.driver", "node.core", "collections typing"),
    (
        "node.dialects",
        "node.dialects node.core.clock node.core.messages node.core.placement node.core.siblings "
        "node.core.token node.core.view",
        f"{DATA} json orjson urllib",
    ),
    (
        "node.shell",
        "node.shell node.driver node.dialects.contract node.dialects.words node.core.effects "
        "node.core.messages node.core.report node.core.token node.core.view",
        ANY,
    ),
    ("node.__main__", "node", ANY),
    ("node.config", "node.kinds", ANY),
    ("node", "", ANY),
    ("cluster.simulation", "cluster node.core node.driver", ANY),
    ("cluster", "cluster node", ANY),
    ("coterie", "coterie", "aiohttp orjson argparse asyncio contextlib os sys time " + DATA),
    ("tests", "tests node cluster coterie examples docs", ANY),
    ("docs", "node cluster", ANY),
    ("examples", "examples", ANY),
)
OURS = "node cluster coterie tests examples docs"

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
