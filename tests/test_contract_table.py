"""The table of contracts tells what happened: it has every failure and every contract."""

from io import StringIO
from typing import Literal

import pytest
from rich.console import Console

from tests import contract_table
from tests.contract_table import CONTRACTS, HERE, Tally, files_of, place_of, shown
from tests.dialects.exchanges import DIALECTS

SCRIPT = "tests/scenarios/test_contract_peers.py::test_a_node_that_was_down"
When = Literal["setup", "call", "teardown"]
End = Literal["passed", "failed", "skipped"]


def report(test: str, end: End, when: When = "call", why: str = "") -> pytest.TestReport:
    skipped = ("a file", 1, f"Skipped: {why}") if why else None
    return pytest.TestReport(test, ("a file", 1, ""), {}, end, skipped, when)


def told(*reports: pytest.TestReport) -> Tally:
    """Return the results: one good test of every contract, then these."""
    tally = Tally()
    for contract in CONTRACTS:
        good = report(f"tests/dialects/test_{contract}.py::test_goes_as_written", "passed")
        tally.pytest_runtest_logreport(good)
    for each in reports:
        tally.pytest_runtest_logreport(each)
    return tally


def lines_of(tally: Tally) -> dict[str, str]:
    """Return the printed lines by their first words."""
    console = Console(width=200, record=True, file=StringIO())
    console.print(shown(tally))
    lines = [line.replace("│", " ").split() for line in console.export_text().splitlines()]
    return {line[0].rstrip(":"): " ".join(line[1:]) for line in lines if line}


def test_every_contract_and_every_file_of_one_is_in_the_table() -> None:
    assert set(CONTRACTS) == set(DIALECTS) - {"native", "views", "kv", "policies"}
    files = [path for contract in CONTRACTS for path in files_of(contract)]
    assert all(path.exists() for path in files)
    assert len(set(files)) == len(files)
    assert set((HERE / "scenarios").glob("test_contract_*.py")) <= set(files)


def test_what_passed_is_counted_where_it_ran() -> None:
    tally = told(
        *(report(f"{SCRIPT}[{kind}]@{kind}", "passed") for kind in ("process", "docker")),
        report("tests/scenarios/test_admin_view.py::test_a_view[docker-True-x]", "passed"),
    )
    assert tally.bad() == []
    assert lines_of(tally)["peers"] == "1/1 1/1 1/1 3/3"
    assert lines_of(tally)["admin_view"] == "1/1 - 1/1 2/2"
    assert lines_of(tally)["asg4"] == "1/1 - - 1/1"


@pytest.mark.parametrize("when", ["setup", "call", "teardown"])
def test_a_failure_is_named_and_counted_once_whenever_it_came(when: When) -> None:
    test = f"{SCRIPT}[docker]"
    reports = [report(f"{test}@docker", "passed")] * (when == "teardown")
    reports += [report(f"{test}@docker", "failed", when), report(f"{test}@docker", "passed")]
    tally = told(*reports)
    assert tally.bad() == [f"peers: {test}"]
    assert lines_of(tally)["peers"] == "1/1 - 0/1 1/2"
    assert lines_of(tally)["failed"] == f"peers: {test}"


def test_what_is_skipped_is_no_success_and_says_why() -> None:
    why = "NO DOCKER ENGINE: the scenarios run on processes only"
    tally = told(report(f"{SCRIPT}[docker]", "skipped", "setup", why))
    assert lines_of(tally)["peers"] == "1/1 - - 1/1 1"
    assert lines_of(tally)["skipped"] == f"1 x Skipped: {why}"


def test_a_contract_of_which_nothing_ran_has_failed() -> None:
    assert "asg4: no test has passed" in Tally().bad()
    assert len(Tally().bad()) == len(CONTRACTS)


@pytest.mark.parametrize(
    ("code", "reports", "expected"),
    [
        (0, [], 0),
        (1, [], 1),
        (0, [report(f"{SCRIPT}[docker]", "failed")], 1),
    ],
)
def test_the_exit_code_is_that_of_the_tests(
    code: int,
    reports: list[pytest.TestReport],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(contract_table, "Tally", lambda: told(*reports))
    monkeypatch.setattr(pytest, "main", lambda arguments, plugins: code)
    assert contract_table.main() == expected
    assert "in Docker" in capsys.readouterr().out


def test_the_place_is_that_of_the_engine() -> None:
    assert place_of("tests/dialects/test_peers.py::test_x[docker]") == "exchanges"
    assert place_of(f"{SCRIPT}[process]") == place_of(SCRIPT) == "on processes"
