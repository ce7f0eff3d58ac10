"""The overlay has the last record of each row, in order, until that very record settles."""

from hypothesis import given, strategies as st

from node.core.protocol.effects import Record
from node.shell.disk.overlay import Unsettled

KEYS = st.text("ab/\0\uffff", max_size=5)
STEPS = st.lists(st.tuples(st.sampled_from(("item", "log")), KEYS, st.booleans()), max_size=60)
BOUND = st.one_of(st.none(), KEYS)


@given(STEPS, BOUND, BOUND)
def test_agrees_with_a_dictionary(
    steps: list[tuple[str, str, bool]], after: str | None, before: str | None
) -> None:
    unsettled, model = Unsettled(), dict[tuple[str, str], Record]()
    for number, (table, key, settles) in enumerate(steps):
        record = Record(table, key, b"%d" % number)
        if settles:
            unsettled.settled([old for old in model.values() if old.key == key])
            model = {row: old for row, old in model.items() if old.key != key}
        else:
            unsettled.put([record])
            model[table, key] = record
        assert unsettled.find(table, key) is model.get((table, key))
        shown = [
            old
            for (name, k), old in sorted(model.items(), key=lambda row: row[0])
            if name == table and (after is None or k > after) and (before is None or k < before)
        ]
        assert list(unsettled.between(table, after, before)) == shown
        rows = {old for (name, _), old in model.items() if name == table}
        assert set(unsettled.all_of(table)) == rows


def test_a_row_that_was_written_again_stays() -> None:
    unsettled = Unsettled()
    first, second = Record("item", "00a/k", b"1"), Record("item", "00a/k", b"1")
    unsettled.put([first])
    unsettled.put([second])
    unsettled.settled([first])
    assert unsettled.find("item", "00a/k") is second
    unsettled.settled([second])
    assert unsettled.find("item", "00a/k") is None
    unsettled.settled([second])  # and again: no harm
    assert list(unsettled.between("item", None, None)) == []
