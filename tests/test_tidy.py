"""Every file keeps the rules of the house (`tests/house/rules.py`), and every rule can complain.

The last tests feed each rule a snippet that breaks it: a rule that cannot fail proves nothing.
"""

import ast
import re
from collections.abc import Iterable
from graphlib import CycleError
from pathlib import Path

import pytest

from node.api.dialects.listing import BY_NAME
from tests.house.layers import CORE_ROW
from tests.house.map import arrows_of, levels_of, modules_of, units_of
from tests.house.rules import (
    BANNED_CALLS,
    BROAD_EXCEPTS,
    COLUMNS_MAX,
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    GUILLEMETS,
    ROOT,
    RULES,
    Rule,
    Source,
    bounds_are_given,
    core_downwards,
    fields_have_one_owner,
    files,
    modules,
    narrow_excepts,
    no_imports_from_tests,
    no_sleep_in_tests,
    opens_with_its_law,
    plain_quotation_marks,
    pure_places,
    reasoned_ignores,
    refusals_are_raised,
    sizes,
    source_of,
    who_imports_whom,
    within,
)

# Of a package at most so many units, levels and arrows (`tests/house/map.py`).
MAP_MAX = {"node.core": (10, 9, 40), "cluster": (6, 3, 5)}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_tidy(path: Path) -> None:
    source = source_of(path)
    assert [complaint for rule in RULES for complaint in rule(source)] == []


def test_the_rows_name_what_exists() -> None:
    assert set(CORE_ROW) == set(units_of("node.core"))


@pytest.mark.parametrize(("package", "bounds"), MAP_MAX.items())
def test_the_map_is_small(package: str, bounds: tuple[int, int, int]) -> None:
    graph = units_of(package)
    figures = len(graph), 1 + max(levels_of(graph).values()), arrows_of(graph)
    assert all(figure <= bound for figure, bound in zip(figures, bounds, strict=True)), figures


@pytest.mark.parametrize("package", ["node.core", "node.api", "node.shell", "cluster"])
def test_no_file_imports_itself_by_way_of_others(package: str) -> None:
    graph = modules_of(package)
    assert set(levels_of(graph)) == set(graph)


def test_a_cycle_is_noticed() -> None:
    with pytest.raises(CycleError):
        levels_of({"one": {"two"}, "two": {"one"}})


def test_the_places_that_may_catch_everything_exist() -> None:
    assert set(BROAD_EXCEPTS) <= modules()


# Some of these names are words as well; then only the text in quotation marks is the name.  `peers`
# is a word of the core in quotation marks, too.
CONTRACT_NAMES = re.compile(
    "|".join(
        rf"\b{n}\b" if "_" in n or n[-1].isdigit() else rf"[\"'`]{n}[\"'`]"
        for n in BY_NAME
        if n != "peers"
    )
)


def test_a_contract_is_named_in_its_own_folder_alone() -> None:
    outside = [path for path in files() if "api/dialects" not in str(path)]
    of_a_node = [path for path in outside if path.is_relative_to(ROOT / "node")]
    assert len(of_a_node) > 80
    assert CONTRACT_NAMES.search("as `asg4` does")
    assert {str(path): CONTRACT_NAMES.findall(path.read_text("utf-8")) for path in of_a_node} == {
        str(path): [] for path in of_a_node
    }


PRODUCTS = ("node cluster", "coterie")  # the client is installed alone, and has names of its own
DOUBLED = {
    "node.x": "class Clock: pass\nclass Only: pass",
    "cluster.y": "class Clock: pass\nclass Other:\n    class Only: pass",
}


def doubled_types(sources: Iterable[Source]) -> dict[str, list[str]]:
    """The classes of one name in several modules, by that name."""
    modules: dict[str, list[str]] = {}
    for source in sources:
        for statement in source.tree.body:
            if isinstance(statement, ast.ClassDef):
                modules.setdefault(statement.name, []).append(source.module)
    return {name: of for name, of in modules.items() if len(of) > 1}


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_type_of_the_product_has_the_name_of_another(product: str) -> None:
    sources = [source for source in map(source_of, files()) if within(source.module, product)]
    assert len(sources) > 15
    assert doubled_types(sources) == {}


def test_a_doubled_type_is_noticed() -> None:
    one, two = (Source(module, text, ast.parse(text)) for module, text in DOUBLED.items())
    assert doubled_types((one, two)) == {"Clock": ["node.x", "cluster.y"]}


def test_no_page_has_guillemets() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.txt")]
    assert len(pages) > 50
    assert [page for page in pages if GUILLEMETS.search(page.read_text("utf-8"))] == []


# ------------------------------------------------------------------ each rule can fail

LAW = '"""A law."""\n'
BAD: tuple[tuple[Rule, str, str], ...] = (
    (who_imports_whom, "node.core.x", "import orjson"),
    (who_imports_whom, "node.core.x", "from node.driver import Driver"),
    (who_imports_whom, "node.driver", "from node.shell.disk.store import SqliteStore"),
    (who_imports_whom, "node.api.x", "from node.core.replica import Replica"),
    (who_imports_whom, "node.api.x", "from aiohttp import web"),
    (who_imports_whom, "node.shell.http.x", "from node.api.dialects.asg4.handlers import asg4"),
    (who_imports_whom, "node.shell.disk.x", "from node.core.storage.keyspace import Keyspace"),
    (who_imports_whom, "node.shell.disk.x", "from node.shell.peers.links import PeerLinks"),
    (who_imports_whom, "cluster.checker.x", "from cluster.simulator.world import World"),
    (who_imports_whom, "cluster.engines.x", "from node.core.model.view import View"),
    (who_imports_whom, "cluster.cli.x", "from cluster.simulator.trial import Trial"),
    (who_imports_whom, "node.__main__", "import cluster.simulator.world"),
    (who_imports_whom, "cluster.simulator.world", "from node.shell import event_loop"),
    (who_imports_whom, "cluster.x", "from tests import house"),
    (who_imports_whom, "examples.basic", "from examples.conflict import story"),
    (who_imports_whom, "examples.stage.real", "from node.core.model.view import View"),
    (who_imports_whom, "coterie.x", "from examples.stage.page import Page"),
    (who_imports_whom, "tests.x", "from .house import rules"),
    (core_downwards, "node.core.model.x", "from node.core.protocol.messages import Heartbeat"),
    (core_downwards, "node.core.storage.x", "from node.core.replication.pull import Repair"),
    (core_downwards, "node.core.membership.x", "from node.core.maintenance import Maintenance"),
    (core_downwards, "node.core.maintenance", "from node.core.requests.admission import Admission"),
    (core_downwards, "node.core.requests.x", "from node.core.maintenance import Maintenance"),
    (core_downwards, "node.core.requests.x", "from node.core import replica"),
    (core_downwards, "node.core.newcomer", "import msgspec"),
    (pure_places, "node.core.x", "import time"),
    (pure_places, "node.core.x", "from os import environ"),
    (pure_places, "node.core.x", "from random import choice"),
    (pure_places, "node.core.x", "import random\nrandom.shuffle([])"),
    (pure_places, "cluster.checker.check", "import asyncio"),
    *((pure_places, "node.core.x", f"{call}('x')") for call in BANNED_CALLS),
    (sizes, "node.x", "x = 1\n" * (FILE_LINES_MAX + 1)),
    (sizes, "node.x", "x = '" + "x" * COLUMNS_MAX + "'"),
    (sizes, "node.x", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    (opens_with_its_law, "node.x", "x = 1"),
    (narrow_excepts, "node.core.x", "try:\n    pass\nexcept Exception:\n    pass"),
    (narrow_excepts, "node.core.x", "try:\n    pass\nexcept:\n    pass"),
    (narrow_excepts, "tests.x", "try:\n    pass\nexcept (OSError, BaseException):\n    pass"),
    (narrow_excepts, "node.shell.peers.links", "try:\n    pass\nexcept Exception:\n    pass\n" * 2),
    (refusals_are_raised, "node.api.dialects.x.handlers", "if isinstance(x, Reply): pass"),
    (refusals_are_raised, "node.api.parsing", "isinstance(x, contract.Reply | None)"),
    (refusals_are_raised, "node.api.admin.x", "match x:\n    case Reply(): pass"),
    (fields_have_one_owner, "node.core.x", "def f(self): self._store.now = 1"),
    (fields_have_one_owner, "node.core.x", "def f(self, peer): peer.rows[1] = 2"),
    (fields_have_one_owner, "node.core.x", "def f(self, peer): self.x, peer.row = 1, 2"),
    (fields_have_one_owner, "node.core.x", "def f(self): del self._step.effects.peers"),
    (fields_have_one_owner, "node.core.x", "def f(self):\n    x = self.get()\n    x.count += 1"),
    (fields_have_one_owner, "node.driver", "def f(replica): replica.now = 1"),
    (bounds_are_given, "tests.x", "from node import x\nmonkeypatch.setattr(x, 'A_MAX', 1)"),
    (bounds_are_given, "tests.x", "patch.setattr('node.core.x.A_MAX', 1)"),
    (bounds_are_given, "tests.x", "with patch('node.core.x._A_MAX', 1): pass"),
    (bounds_are_given, "tests.x", "from node import x\nwith patch.object(x, 'A_MAX', 1): pass"),
    (bounds_are_given, "cluster.x", "from node import x\nx.A_S, y = 1, 2"),
    (bounds_are_given, "cluster.x", "from node.x import f\nf.g.__defaults__ = (1,)"),
    (reasoned_ignores, "node.x", "x = 1  # type" + ": ignore"),
    (reasoned_ignores, "node.x", "x = 1  # type" + ": ignore[misc]"),
    (no_sleep_in_tests, "tests.x", "import time\ntime.sleep(1)"),
    (no_imports_from_tests, "tests.x", "from tests.core.test_replica import NODES"),
    (plain_quotation_marks, "node.x", "x = 1  # \u00abone\u00bb"),
)


def name_of(each: Rule | str) -> str:
    """Return a name that is the same in every process, as the repr of a function is not."""
    return each if isinstance(each, str) else each.__name__


@pytest.mark.parametrize(("rule", "module", "text"), BAD, ids=name_of)
def test_rule_complains(rule: Rule, module: str, text: str) -> None:
    assert list(rule(Source(module, text, ast.parse(text))))


GOOD = (
    ("node.x", "try:\n    pass\nexcept BaseException:\n    raise"),
    (
        "node.core.replication.pull",
        "from node.core.model.dots import DotClock\nimport msgspec\nimport random\n",
    ),
    ("node.core.x", "def f(random): return random.choice([1])"),
    ("node.shell.peers.links", "try:\n    pass\nexcept Exception:\n    pass"),
    ("node.x", "x = 1  # type" + ": ignore[misc]  # the library has no types"),
    ("node.core.x", "class Row:\n    n: int\n\ndef f(row): row.n += 1"),
    ("node.core.x", "class Row:\n    def g(self): self.n = 1\n\ndef f(row): row.n = 2"),
    ("node.core.x", "def f():\n    page, n = Page(), 1\n    page.items[n] = 1"),
    ("node.shell.x", "def f(row): row.n = 1"),
    ("tests.x", "import node.x\nmonkeypatch.setattr(node.x, 'commit', 1)\nA_MAX = node.x.A_MAX"),
    ("tests.x", "from xdist import Manager\nManager.EXIT_S = 1\npatch.object(Manager, 'EXIT_S')"),
    ("tests.simulation.mutants_of_x", "from node import x\npatch.object(x, 'A_MAX', 1)"),
    ("node.api.dialects.x.handlers", "isinstance(x, Stored)\nmatch x:\n    case Found(): pass"),
    ("node.shell.http.server", "isinstance(x, Reply)"),
)


@pytest.mark.parametrize(("module", "text"), GOOD)
def test_rules_let_pass(module: str, text: str) -> None:
    source = Source(module, LAW + text, ast.parse(LAW + text))
    rules = [rule for rule in RULES if module != "node.core.x" or rule is not core_downwards]
    assert [complaint for rule in rules for complaint in rule(source)] == []
