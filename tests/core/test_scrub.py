"""The pass over all rows finds what nobody reads, at its own pace, and cries wolf at nothing."""

import pytest

from cluster.memory import write_rows
from node.core import messages as m, scrub
from node.core.effects import Effects, Record
from node.core.scrub import PATIENCE_S, QUIET_S, STEP_S
from node.core.walk import row_of, slot_of_key
from tests.core.given import MemoryRows
from tests.core.test_healing import damage, member, tick
from tests.core.test_replica import NOW, PEAR, One

KEYS = [f"key{n}" for n in range(12)]


def full() -> One:
    """A member with some keys, whose rows have been counted; nobody has asked it for a while."""
    one = member()
    for key in KEYS:
        one.step("a2", m.Accept(one.replica.next_request(NOW), m.Put(key, b"v" * 100)))
    assert one.replica.keyspace.digests.content
    return one


def steps(one: One, times: int, start: float = NOW + 1) -> list[str]:
    """So many steps of the pass; what was noted."""
    ticks = [tick(one, start + n * STEP_S) for n in range(times)]
    return [note for effects in ticks for note in effects.notes]


def test_a_pass_reads_every_row_and_finds_nothing_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "ROWS_AT_ONCE", 5)
    one = full()
    done = one.replica.upkeep.scrub
    done._limit = 5
    assert steps(one, 2) == []
    assert done.passes == 0
    assert done.after is not None
    steps(one, 1, NOW + 3)
    assert (done.passes, done.finished_at, done.slot) == (1, NOW + 3, 0)
    steps(one, 3, NOW + 4)
    assert (done.passes, done.short_slots) == (2, 0)


def test_it_finds_what_nobody_reads() -> None:
    one = full()
    damage(one, KEYS[3])
    damage(one, KEYS[7])
    notes = steps(one, 1)
    assert {row_of(key) for key in (KEYS[3], KEYS[7])} == {note.split("'")[1] for note in notes}
    assert set(one.replica.upkeep.healing.suspects) == {KEYS[3], KEYS[7]}


def test_it_reads_from_the_disk_and_writes_again_what_memory_has() -> None:
    one = full()
    before = one.rows.tables["item"][row_of(PEAR)]
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), b"\xc1 damaged")])
    [note] = steps(one, 1)
    assert "as it was in memory" in note
    assert one.rows.tables["item"][row_of(PEAR)] == before


def test_a_row_that_has_gone_is_noticed_by_the_sum_of_its_slot() -> None:
    one = full()
    content = one.replica.keyspace.digests.content
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), None)])
    assert steps(one, 1) == [
        f"rows of slot {slot_of_key(PEAR):03x} of table item are not there any more, or old"
    ]
    assert one.replica.upkeep.scrub.short_slots == 1
    assert one.replica.keyspace.digests.content not in (content, None)
    assert steps(one, 1, NOW + 9) == []
    assert one.replica.upkeep.scrub.passes == 2


def test_an_older_row_is_noticed_too() -> None:
    one = full()
    before = one.rows.tables["item"][row_of(PEAR)]
    one.step("a2", m.Accept(one.replica.next_request(NOW), m.Put(PEAR, b"newer")))
    one.rows.tables["item"][row_of(PEAR)] = before
    assert "are not there any more, or old" in steps(one, 1)[0]


def test_what_is_written_meanwhile_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot has been read in part when a row of it is written."""
    one = full()
    slot = slot_of_key(PEAR)
    done = one.replica.upkeep.scrub
    done.after, done.slot, done._sum = f"{slot:03x}/", slot, 12345
    assert steps(one, 1) == []
    assert done.passes == 1


def test_a_slot_with_a_damaged_row_is_judged_when_it_is_whole() -> None:
    one = full()
    damage(one)
    assert [note for note in steps(one, 1) if "not there" in note] == []
    assert one.replica.upkeep.scrub.short_slots == 0


def test_slots_that_are_too_full_are_judged_by_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "ROWS_OF_A_SLOT_MAX", 1)
    one = full()
    same = [
        key for key in (f"k{n}" for n in range(20_000)) if slot_of_key(key) == slot_of_key(PEAR)
    ]
    for key in (PEAR, *same[:2]):
        one.step("a2", m.Accept(one.replica.next_request(NOW), m.Put(key, b"v")))
    write_rows(one.rows.tables, [Record("item", row_of(same[0]), None)])
    assert steps(one, 1) == []


def test_slots_on_their_way_out_are_left_alone() -> None:
    one = full()
    one.replica.keyspace.forget(1 << slot_of_key(PEAR))
    one.rows.apply(one.replica.keyspace.outbox)
    one.replica.upkeep.scrub._look_again(slot_of_key(PEAR))
    assert one.replica.upkeep.scrub.short_slots == 0


def test_it_gives_way_to_clients_but_not_for_ever() -> None:
    one = full()

    def busy(now: float) -> Effects:
        one.submit(m.Get(PEAR), now=now)
        return tick(one, now + QUIET_S / 2)

    tick(one, NOW + 1)
    assert one.replica.upkeep.scrub.passes == 1
    busy(NOW + 1 + STEP_S)
    assert one.replica.upkeep.scrub.passes == 1
    busy(NOW + 1 + STEP_S + PATIENCE_S)
    assert one.replica.upkeep.scrub.passes == 2
    tick(one, NOW + 1 + 3 * STEP_S + PATIENCE_S)
    assert one.replica.upkeep.scrub.passes == 3


def test_large_values_are_read_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub, "BYTES_AT_ONCE", 300)
    one = full()
    steps(one, 1)
    assert one.replica.upkeep.scrub._limit == 2
    one = One(rows=MemoryRows())
    steps(one, 1)
    assert one.replica.upkeep.scrub._limit == scrub.ROWS_AT_ONCE


def test_it_waits_until_all_rows_have_been_counted() -> None:
    one = full()
    one.replica.keyspace.digests._upto = "000"
    one.replica.upkeep.scrub.tick()
    assert one.replica.upkeep.scrub.passes == 0
