"""The record of a run: what may be appended, how it is kept, what it says it exercised."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cluster.history import History, Kind, Operation, Status


def operation(number: int, kind: Kind = "get", status: Status = "ok", **more: object) -> Operation:
    fields: Any = {"session": 1, "node": "a", "key": "x", "mode": "siblings", **more}
    return Operation(id=number, kind=kind, status=status, **fields)


def test_an_operation_is_finished_once() -> None:
    history = History()
    history.append(operation(1, status="unknown"))
    history.finish(1, ended=2.0, status="ok", values=("v",), dots=(("a", 1),), shown=(("a", 1),))
    assert history[1].values == ("v",)
    assert history[1].ended == 2.0
    with pytest.raises(ValueError, match="finished twice"):
        history.finish(1, ended=3.0, status="fail")


def test_an_id_is_used_once() -> None:
    with pytest.raises(ValueError, match="recorded twice"):
        History([operation(1), operation(1)])


def test_a_dumped_history_is_loaded_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    put = operation(1, "put", value="é", dot=("a", 1), parents=(), context_of=None)
    get = operation(2, parents=(1,), values=("é",), dots=(("a", 1),), shown=(("a", 1),))
    History([put, get]).dump(path)
    assert History.load(path).operations == [put, get]
    assert len(path.read_text().splitlines()) == 2


def test_a_line_that_is_no_operation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"id": "one"}\n')
    with pytest.raises(msgspec.ValidationError):
        History.load(path)


@pytest.mark.parametrize(
    ("kind", "status", "dot", "writes", "reads"),
    [
        ("get", "ok", None, False, True),
        ("get", "unknown", None, False, False),
        ("put", "ok", ("a", 1), True, False),
        ("put", "ok", None, True, False),
        ("put", "unknown", None, True, False),
        ("put", "fail", None, False, False),
        ("delete", "ok", ("a", 1), True, False),
        ("delete", "ok", None, False, True),
        ("delete", "unknown", None, True, False),
    ],
)
def test_what_writes_and_what_reads(
    kind: Kind, status: Status, dot: tuple[str, int] | None, writes: bool, reads: bool
) -> None:
    one = operation(1, kind, status, dot=dot)
    assert (one.writes, one.reads) == (writes, reads)


def test_the_summary_counts_what_was_exercised() -> None:
    history = History(
        [
            operation(1, "put", started=1.0, ended=1.1, value="v"),
            operation(2, started=1.02, ended=1.1, node="b", values=("v", "w")),
            operation(3, started=5.0, ended=None, node="b", status="unknown"),
            operation(4, "delete", started=6.0, ended=6.1, session=2, status="fail"),
        ]
    )
    summary = history.summary(faults=[(1.05, 1.5)])
    assert (summary.operations, summary.ok, summary.failed, summary.unknown) == (4, 2, 1, 1)
    assert (summary.reads, summary.writes, summary.under_fault) == (2, 2, 2)
    assert (summary.steps, summary.node_changes) == (2, 1)
    assert (summary.close_reads, summary.sibling_reads, summary.reads_of_siblings) == (1, 1, 1)
    assert summary.shortfalls(faulty=True) == []
    assert summary.shortfalls(faulty=False) == ["ok operations: 0.500 < 0.95"]


def test_an_empty_run_is_no_evidence() -> None:
    assert History().summary().shortfalls(faulty=False) == ["no operations"]
