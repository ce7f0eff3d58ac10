"""What is settled: all members have it, and all that any had written without it."""

from node.core.model.view import FIRST, ViewId
from node.core.storage.watermarks import Watermarks

SECOND = ViewId(2, "x")
OLD, OURS, LOST = "aaaaaaRUNRUN.1", "aaaaaaRUNRUN.2.x", "bbbbbbRUNRUN.2.x"


def test_a_write_is_settled_when_all_have_what_was_written_beside_it() -> None:
    marks = Watermarks()
    marks.take({OURS: 3}, {OURS: 5}, {})
    marks.settle(FIRST)
    assert not marks.is_settled(OURS, 3)  # a member may have written 4 and 5 without it
    marks.take({OURS: 4}, {OURS: 6}, {})
    marks.settle(FIRST)
    assert not marks.is_settled(OURS, 3)
    marks.take({OURS: 5}, {OURS: 6}, {})
    marks.settle(FIRST)
    assert [marks.is_settled(OURS, n) for n in (3, 4)] == [True, False]


def test_what_no_member_will_have_counts_as_had() -> None:
    marks = Watermarks()
    for _ in range(2):
        marks.take({OURS: 3}, {OURS: 3, LOST: 7}, {LOST: 9})
        marks.settle(FIRST)
    assert marks.is_settled(OURS, 3)
    assert marks.is_settled(LOST, 7)


def test_a_retired_view_is_settled_when_all_have_said_so() -> None:
    marks = Watermarks()
    marks.on_view(SECOND)
    marks.take({}, {}, {})
    marks.settle(FIRST)  # the members told their clocks before they knew it
    marks.settle(SECOND)
    assert not marks.is_settled(OLD, 1)
    marks.settle(SECOND)
    assert marks.is_settled(OLD, 1)
    assert not marks.is_settled(OURS, 1)
    marks.on_view(SECOND)
    assert not marks.is_settled(OLD, 1)
