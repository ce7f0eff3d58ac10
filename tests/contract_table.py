"""`make contracts`: the tests of every contract, and a table of how many passed.

A contract's tests are the golden exchanges and what stands beside them in tests/dialects, and the
scripts against running clusters in tests/scenarios.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
CONTRACTS = {
    "asg4": ("test_asg4_script.py", "test_reshard.py"),
    "admin_view": ("test_admin_view.py",),
    "data_view": ("test_contract_data_view.py",),
    "dynamo": ("test_contract_dynamo.py",),
    "keys_view": ("test_contract_keys_view.py",),
    "peers": ("test_contract_peers.py",),
    "shard_view": ("test_contract_shard_view.py",),
}


class Tally:
    """Counts how the tests of each contract end: passed, failed, skipped."""

    def __init__(self) -> None:
        self.ends: dict[str, Counter[str]] = {contract: Counter() for contract in CONTRACTS}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            contract = contract_of(report.nodeid)
            self.ends[contract][report.outcome] += 1


def files_of(contract: str) -> list[Path]:
    golden = HERE / "dialects" / f"test_{contract}.py"
    return [golden, *(HERE / "scenarios" / name for name in CONTRACTS[contract])]


def contract_of(nodeid: str) -> str:
    path = HERE.parent / nodeid.partition("::")[0]
    return next(contract for contract in CONTRACTS if path in files_of(contract))


def table_of(ends: dict[str, Counter[str]]) -> Table:
    table = Table("contract", "passed/total", "skipped")
    for contract, count in ends.items():
        total = count["passed"] + count["failed"]
        table.add_row(contract, f"{count['passed']}/{total}", str(count["skipped"]))
    return table


def main() -> int:
    tally = Tally()
    files = [str(path) for contract in CONTRACTS for path in files_of(contract)]
    code = pytest.main(["-q", "-n", "2", "--dist", "loadgroup", *files], plugins=[tally])
    Console().print(table_of(tally.ends))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
