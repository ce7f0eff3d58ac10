"""Every file keeps the rules of the house (`tests/house.py`), and every rule can complain.

The last tests feed each rule a snippet that breaks it: a rule that cannot fail proves nothing.
"""

import ast
from pathlib import Path

import pytest

from tests.house import (
    BANNED_CALLS,
    BROAD_EXCEPTS,
    COLUMNS_MAX,
    CORE_ROW,
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    ROOT,
    RULES,
    Rule,
    Source,
    core_downwards,
    files,
    modules,
    narrow_excepts,
    no_sleep_in_tests,
    opens_with_its_law,
    pure_places,
    reasoned_ignores,
    sizes,
    source_of,
    who_imports_whom,
)


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
    (core_downwards, "node.core.history", "from node.core.clock import Clock"),
    (core_downwards, "node.core.moving", "from node.core.upkeep import Upkeep"),
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
