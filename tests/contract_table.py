"""`make contracts`: the tests of every contract, and a table of how many passed, and where.

The tests of a contract are its golden exchanges and the tests beside them in tests/dialects, and
the scripts against running clusters in tests/scenarios, on each engine that this host has.  Below
the table are the names of failed tests.  A contract without a single passed test counts as failed.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

HERE = Path(__file__).parent
CONTRACTS = {
    "asg4": ("test_asg4_script", "test_crash", "test_cut", "test_first_words", "test_reshard"),
    "asg3": ("test_contract_asg3",),
    "admin_view": ("test_contract_admin_view", "test_admin_view"),
    "data_view": ("test_contract_data_view",),
    "keys_view": ("test_contract_keys_view",),
    "shard_view": ("test_contract_shard_view",),
    "dynamo": ("test_contract_dynamo",),
    "peers": ("test_contract_peers",),
    "causal": ("test_contract_causal",),
}
BESIDE = {"data_view": ("test_orders",)}  # more files of tests/dialects
EXCHANGES, PROCESSES, DOCKER = PLACES = ("exchanges", "on processes", "in Docker")
GROUP = re.compile(r"@(processes|docker)$")  # pytest-xdist adds it
GOOD, BAD = "passed", "failed"


@dataclass
class Tally:
    """How each test of a contract has ended; a test that failed once stays failed."""

    ends: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)  # of tests that were skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = GROUP.sub("", report.nodeid)
        if self.ends.get(test) != BAD and (report.when == "call" or not report.passed):
            self.ends[test] = report.outcome
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.longrepr[2]] += 1

    def counts(self, contract: str, place: str) -> Counter[str]:
        return Counter(
            end
            for test, end in self.ends.items()
            if (contract_of(test), place_of(test)) == (contract, place)
        )

    def bad(self) -> list[str]:
        """List what is wrong, line by line."""
        failed = [f"{contract_of(test)}: {test}" for test, end in self.ends.items() if end == BAD]
        seen = {contract_of(test) for test, end in self.ends.items() if end == GOOD}
        return failed + [f"{name}: no test has passed" for name in CONTRACTS if name not in seen]


def files_of(contract: str) -> list[Path]:
    golden = (f"test_{contract}", *BESIDE.get(contract, ()))
    return [
        *(HERE / "dialects" / f"{name}.py" for name in golden),
        *(HERE / "scenarios" / f"{name}.py" for name in CONTRACTS[contract]),
    ]


def contract_of(test: str) -> str:
    path = HERE.parent / test.partition("::")[0]
    return next(contract for contract in CONTRACTS if path in files_of(contract))


def place_of(test: str) -> str:
    path, _, name = test.partition("::")
    if "/dialects/" in path:
        return EXCHANGES
    return DOCKER if "docker" in name.partition("[")[2].rstrip("]").split("-") else PROCESSES


def shown(tally: Tally) -> Group:
    """Return the table, and below it the failed tests and the reasons for skipped ones."""
    table = Table("contract", *PLACES, "passed/total", "skipped")
    for contract in CONTRACTS:
        counts = [tally.counts(contract, place) for place in PLACES]
        whole: Counter[str] = sum(counts, Counter())
        style = "red" if whole[BAD] or not whole[GOOD] else ""
        row = (*map(_share, counts), _share(whole), str(whole["skipped"] or ""))
        table.add_row(contract, *row, style=style)
    lines = [Text(f"failed: {line}", "red") for line in tally.bad()]
    lines += [Text(f"skipped: {n} x {reason}") for reason, n in tally.reasons.items()]
    return Group(table, *lines)


def _share(count: Counter[str]) -> str:
    total = count[GOOD] + count[BAD]
    return f"{count[GOOD]}/{total}" if total else "-"


def main() -> int:
    tally = Tally()
    files = [str(path) for contract in CONTRACTS for path in files_of(contract)]
    code = pytest.main(["-q", "-n", "2", "--dist", "loadgroup", *files], plugins=[tally])
    Console(soft_wrap=True).print(shown(tally))
    return int(code) or bool(tally.bad())


if __name__ == "__main__":
    sys.exit(main())
