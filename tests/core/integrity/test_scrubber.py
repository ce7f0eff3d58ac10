"""The pass over all rows finds damage that no read meets, at its own pace, and without false
alarms.
"""

from cluster.simulator.memory_store import write_rows
from node.core.integrity.scrubber import PATIENCE_S, QUIET_S, STEP_S
from node.core.model.keys import row_of, slot_of_key
from node.core.model.options import Options
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects, Record
from node.core.protocol.operations import Get, Put
from tests.core.damage import damage, member, tick
from tests.core.given import OPTIONS
from tests.core.one import NOW, PEAR, One

KEYS = [f"key{n}" for n in range(12)]


def full(options: Options = OPTIONS) -> One:
    """A member with some keys and counted rows, which no peer has asked for a while."""
    one = member(options=options)
    for key in KEYS:
        one.step("a2", m.Accept(one.replica.next_request(NOW), Put(key, b"v" * 100)))
    assert one.replica.keyspace.content_hashes.content
    return one


def steps(one: One, times: int, start: float = NOW + 1) -> list[str]:
    """Run this many steps of the pass; return the notes."""
    ticks = [tick(one, start + n * STEP_S) for n in range(times)]
    return [note for effects in ticks for note in effects.notes]


def test_a_pass_reads_every_row_and_finds_nothing_wrong() -> None:
    one = full(Options(scrub_rows_at_once=5))
    done = one.replica.maintenance.scrub
    assert steps(one, 2) == []
    assert done.passes == 0
    assert done.after is not None
    steps(one, 1, NOW + 3)
    assert (done.passes, done.finished_at, done.slot) == (1, NOW + 3, 0)
    steps(one, 3, NOW + 4)
    assert (done.passes, done.short_slots) == (2, 0)


def test_it_finds_what_no_client_reads() -> None:
    one = full()
    damage(one, KEYS[3])
    damage(one, KEYS[7])
    notes = steps(one, 1)
    assert {row_of(key) for key in (KEYS[3], KEYS[7])} == {note.split("'")[1] for note in notes}
    assert set(one.replica.maintenance.row_repair.suspects) == {KEYS[3], KEYS[7]}


def test_it_reads_from_the_disk_and_writes_again_what_memory_has() -> None:
    one = full()
    before = one.rows.tables["item"][row_of(PEAR)]
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), b"\xc1 damaged")])
    [note] = steps(one, 1)
    assert "as it was in memory" in note
    assert one.rows.tables["item"][row_of(PEAR)] == before


def test_a_row_that_has_gone_is_noticed_by_the_sum_of_its_slot() -> None:
    one = full()
    content = one.replica.keyspace.content_hashes.content
    write_rows(one.rows.tables, [Record("item", row_of(PEAR), None)])
    assert steps(one, 1) == [
        f"rows of slot {slot_of_key(PEAR):03x} of table item are not there any more, or old"
    ]
    assert one.replica.maintenance.scrub.short_slots == 1
    assert one.replica.keyspace.content_hashes.content not in (content, None)
    assert steps(one, 1, NOW + 9) == []
    assert one.replica.maintenance.scrub.passes == 2


def test_an_older_row_is_noticed_too() -> None:
    one = full()
    before = one.rows.tables["item"][row_of(PEAR)]
    one.step("a2", m.Accept(one.replica.next_request(NOW), Put(PEAR, b"newer")))
    one.rows.tables["item"][row_of(PEAR)] = before
    assert "are not there any more, or old" in steps(one, 1)[0]


def test_what_is_written_meanwhile_is_no_damage() -> None:
    """The pass has read a part of a slot when a client writes a row of it."""
    one = full()
    slot = slot_of_key(PEAR)
    done = one.replica.maintenance.scrub
    done.after, done.slot, done._sum = f"{slot:03x}/", slot, 12345
    assert steps(one, 1) == []
    assert done.passes == 1


def test_a_slot_with_a_damaged_row_is_judged_when_it_is_whole() -> None:
    one = full()
    damage(one)
    assert [note for note in steps(one, 1) if "not there" in note] == []
    assert one.replica.maintenance.scrub.short_slots == 0


def test_slots_that_are_too_full_are_judged_by_checksums() -> None:
    one = full(Options(scrub_slot_rows_max=1))
    same = [
        key for key in (f"k{n}" for n in range(20_000)) if slot_of_key(key) == slot_of_key(PEAR)
    ]
    for key in (PEAR, *same[:2]):
        one.step("a2", m.Accept(one.replica.next_request(NOW), Put(key, b"v")))
    write_rows(one.rows.tables, [Record("item", row_of(same[0]), None)])
    assert steps(one, 1) == []


def test_slots_on_their_way_out_are_left_alone() -> None:
    one = full()
    one.replica.keyspace.forget(1 << slot_of_key(PEAR))
    one.rows.apply(one.replica._step.records)
    one.replica.maintenance.scrub._look_again(slot_of_key(PEAR))
    assert one.replica.maintenance.scrub.short_slots == 0


def test_it_gives_way_to_clients_but_not_for_ever() -> None:
    one = full()

    def busy(now: float) -> Effects:
        one.submit(Get(PEAR), now=now)
        return tick(one, now + QUIET_S / 2)

    tick(one, NOW + 1)
    assert one.replica.maintenance.scrub.passes == 1
    busy(NOW + 1 + STEP_S)
    assert one.replica.maintenance.scrub.passes == 1
    busy(NOW + 1 + STEP_S + PATIENCE_S)
    assert one.replica.maintenance.scrub.passes == 2
    tick(one, NOW + 1 + 3 * STEP_S + PATIENCE_S)
    assert one.replica.maintenance.scrub.passes == 3


def test_large_values_are_read_fewer_at_once() -> None:
    options = Options(scrub_bytes_at_once=330)
    one = full(options)
    steps(one, 1)
    assert one.replica.maintenance.scrub._limit == 2
    one = One(options=options)
    steps(one, 1)
    assert one.replica.maintenance.scrub._limit == options.scrub_rows_at_once


def test_it_waits_until_all_rows_have_been_counted() -> None:
    one = full()
    one.replica.keyspace.content_hashes._upto = "000"
    one.replica.maintenance.scrub.tick()
    assert one.replica.maintenance.scrub.passes == 0
