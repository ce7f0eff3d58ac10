"""A walk over the rows of some slots finds just these, in order, in steps of any size."""

from hypothesis import given, strategies as st

from node.core.model.slots import ALL, Slots
from node.core.protocol.effects import Record
from node.core.storage.row_scan import rows_within
from tests.core.given import MemoryRows

slots_of_rows = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 5, 6, 255, 4094, 4095]), st.text("ab/", max_size=2)),
    max_size=20,
)
slot_sets = st.sampled_from(
    [0, 1, ALL, 1 << 4095, 1 << 4095 | 1 << 4094, ALL & ~7, 0b1100010, 1 << 255 | 1 << 5 | 1]
)


def row_of(slot: int, key: str) -> str:
    return f"{slot:03x}/{key}"


class CountingRows(MemoryRows):
    """Counts the scans and the rows that they bring."""

    scans = brought = 0

    def scan(
        self, table: str, after: str | None, limit: int, before: str | None = None
    ) -> list[tuple[str, bytes]]:
        self.scans += 1
        found = super().scan(table, after, limit, before)
        self.brought += len(found)
        return found


def rows_with(found: list[tuple[int, str]]) -> CountingRows:
    return CountingRows([Record("item", row_of(slot, key), b"v") for slot, key in found])


@given(slots_of_rows, slot_sets, st.integers(1, 5))
def test_finds_all_rows_of_these_slots_page_by_page(
    drawn: list[tuple[int, str]], slots: Slots, limit: int
) -> None:
    rows = rows_with(drawn)
    expected = sorted({row_of(slot, key) for slot, key in drawn if slots >> slot & 1})
    walked: list[str] = []
    after: str | None = None
    while page := rows_within(rows, slots, after, limit):
        assert len(page) == limit or len(walked) + len(page) == len(expected)
        walked += [row for row, _ in page]
        after = walked[-1]
    assert walked == expected


def test_a_run_of_slots_is_one_scan() -> None:
    rows = rows_with([(slot, "a") for slot in range(6)])
    assert len(rows_within(rows, ALL, None, 100)) == 6
    assert rows.scans == 1


def test_rows_of_other_slots_are_jumped_over() -> None:
    rows = rows_with([(1, "a"), *((2, f"{n:03}") for n in range(50)), (5, "b")])
    found = rows_within(rows, 1 << 1 | 1 << 5, None, 10)
    assert [row for row, _ in found] == ["001/a", "005/b"]
    assert (rows.scans, rows.brought) == (2, 2)


def test_a_walk_ends_before_a_row() -> None:
    rows = rows_with([(1, "a"), (1, "b"), (2, "c"), (5, "d")])
    for before, expected in (("001/b", 1), ("002", 2), ("002/c\0", 3), ("005/d", 3), ("g", 4)):
        assert len(rows_within(rows, ALL, None, 10, before)) == expected
        assert len(rows_within(rows, 1 << 1 | 1 << 2 | 1 << 5, None, 10, before)) == expected
