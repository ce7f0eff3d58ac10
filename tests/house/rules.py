"""The house rules that a machine can check: imports, banned calls, sizes, docstrings.

A rule is a generator over one parsed file, and yields complaints.  The tables say what is allowed.
`test_tidy` applies all rules to every file.  (docs/architecture.md, "The house".)
"""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.house.constants import rebound
from tests.house.fields import set_for_others
from tests.house.layers import CORE_ROW, IMPORTS, OURS

ROOT = Path(__file__).parents[2]
TOPS = ("node", "cluster", "coterie", "tests", "examples", "docs")
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 350
COLUMNS_MAX = 100

# ------------------------------------------------------------------ the tables

# These may ask the machine for nothing: what they say depends on arguments alone.
PURE = re.compile(
    r"node\.(core|driver|api)\b|cluster\.(checker|simulator\.(workload|nemesis))\b"
    r"|coterie\.(answers|calls|errors|resolvers|retries|session_core|steps|values)\b"
)
IMPURE = "asyncio aiohttp logging os secrets socket subprocess threading time uuid"
BANNED_CALLS = ("breakpoint", "eval", "exec", "hash", "input", "open", "print")

# The only places that may catch everything, with their number: each must survive a mistake.
BROAD_EXCEPTS = {
    "node.__main__": 1,  # the last line of defence
    "node.shell.peers.links": 1,  # a bug in one handler must not end the link
    "node.shell.http.server": 1,  # nor the server
    "cluster.simulator.campaign": 1,  # whatever a seed raises is its verdict
}
BROKEN_RULES = "tests.simulation.mutants"
GUILLEMETS = re.compile("[\u00ab\u00bb]")
REPLY = re.compile(r"\bReply\b")
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
    """(line, module) of each import; `from node.core.model import dots` is node.core.model.dots."""
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
    """Check the table of imports; a relative import hides the module that it means."""
    _, ours, others = next(row for row in IMPORTS if source.is_in(row[0]))
    for line, module in imports_of(source):
        if module.startswith("."):
            yield f"line {line}: a relative import"
        elif within(module, OURS):
            if not within(module, ours):
                yield f"line {line}: {source.module} must not import {module}"
        elif others is not None and not within(module, others):
            yield f"line {line}: {source.module} must not import {module}"


def unit_of(module: str, package: str) -> str:
    """Return the folder or file directly in the package that the module belongs to, or is.

    Empty for a module that is not in the package.
    """
    inside = module.removeprefix(f"{package}.")
    return "" if inside == module else inside.partition(".")[0]


def core_downwards(source: Source) -> Iterator[str]:
    """Check that every unit of the core is in the table, and imports only from below."""
    unit = unit_of(source.module, "node.core")
    if not unit:
        return
    if unit not in CORE_ROW:
        yield f"{unit} has no row in CORE_ROWS"
        return
    for line, module in imports_of(source):
        other = unit_of(module, "node.core")
        if other != unit and CORE_ROW.get(other, -1) >= CORE_ROW[unit]:
            yield f"line {line}: {unit} must not know {other}"


def pure_places(source: Source) -> Iterator[str]:
    """Refuse I/O, the clock, and random draws."""
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
    """Allow only the type from `random`; a generator that is given may have that name, too."""
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
    """Whether a handler raises at its end; then it swallows nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def refusals_are_raised(source: Source) -> Iterator[str]:
    """Demand that a contract raises `Refused`: no caller asks whether it got a reply instead."""
    if not source.is_in("node.api"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked, line = ast.unparse(node.args[1]), node.lineno
        elif isinstance(node, ast.MatchClass):
            asked, line = ast.unparse(node.cls), node.lineno
        else:
            continue
        if REPLY.search(asked):
            yield f"line {line}: looks for a reply; raise Refused where the reply is made"


def fields_have_one_owner(source: Source) -> Iterator[str]:
    """In the core no file sets the fields of another file's objects."""
    if source.is_in("node.core") or source.is_in("node.driver"):
        for line, field in set_for_others(source.tree):
            yield f"line {line}: sets {field}; let its owner have a method for it"


def bounds_are_given(source: Source) -> Iterator[str]:
    """Programs and tests give a bound as an option; only the broken rules rebind a constant."""
    if not source.module.startswith(BROKEN_RULES):
        for line, name in rebound(source.tree, OURS):
            yield f"line {line}: rebinds {name}; make it an option, and give that"


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


def no_imports_from_tests(source: Source) -> Iterator[str]:
    """Demand that what several tests share incarnations in a module without tests."""
    for line, module in imports_of(source):
        if any(part.startswith("test_") for part in module.split(".")):
            yield f"line {line}: imports from {module}, which holds tests"


def plain_quotation_marks(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if GUILLEMETS.search(line):
            yield f"line {number}: guillemets; use quotation marks or code font"


RULES: tuple[Rule, ...] = (
    who_imports_whom,
    core_downwards,
    pure_places,
    sizes,
    opens_with_its_law,
    narrow_excepts,
    refusals_are_raised,
    fields_have_one_owner,
    bounds_are_given,
    reasoned_ignores,
    no_sleep_in_tests,
    plain_quotation_marks,
    no_imports_from_tests,
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
