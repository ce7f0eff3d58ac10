"""The record of a run: what may be appended, what counts as a write or a read."""

from typing import Any

import pytest

from cluster.checker.history import History, Kind, Operation, Status


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
