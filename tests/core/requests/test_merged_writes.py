"""What a home does with changes of counters and sets."""

import pytest
from msgspec.structs import replace

from node.core.model.changes import StateChange
from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.counters import COUNT_MAX, Counter
from node.core.model.element_sets import ElementSet
from node.core.model.item import Item, Past, Version
from node.core.model.keys import COUNTERS, SETS, key_hash_of, slot_of_key
from node.core.model.merged_values import State, joined, value_of
from node.core.model.repeats import REPEATS_MAX, Repeat
from node.core.model.token import Token
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.operations import (
    Absent,
    OutOfBounds,
    Overfull,
    Put,
    Rejected,
    Reused,
    Stored,
    StoreLocally,
)
from node.core.storage.remembered_names import REPEATED_WITHIN_MS
from tests.core.one import NOW, One

LATER = NOW + REPEATED_WITHIN_MS / 1000 + 1
ELSEWHERE = "bbbbbbRUNRUN.1"
THERE = (ELSEWHERE, 1)
NO_TOKEN = Token()


def _ours(namespace: str) -> str:
    """Return a key that the replica of these tests owns."""
    parts = One().replica.keyspace.parts
    return next(key for n in range(99) if parts.owns(slot_of_key(key := f"{namespace}{n}")))


VISITS, TAGS = _ours(COUNTERS), _ours(SETS)


@pytest.fixture
def one() -> One:
    one = One()
    one.arrive()
    return one


def put_of(key: str, change: StateChange, identity: str = "") -> Put:
    takes = bool(change.remove or change.resets)
    refuse_when = RefuseWhen(unmet=Scope.KEY if takes else None, absent=change.resets)
    return Put(key, None, Mode.SIBLINGS, refuse_when=refuse_when, change=change, identity=identity)


def told(one: One, put: Put, now: float = NOW, looked: bool = False) -> m.Message:
    """Return what the home of a change tells its origin."""
    request = one.replica.next_request(now)
    tells = one.step("b1", m.Accept(request, put, looked=looked), now).tells
    (said,) = [said for peer, said in tells if peer == "b1"]
    assert isinstance(said, m.Message)
    return said


def refusal_in(said: m.Message) -> object:
    assert isinstance(said, m.Declined)
    return said.outcome


def counter_in(said: m.Message) -> Counter:
    assert isinstance(said, m.Written), said
    state = joined(VISITS, (said.state,))
    assert isinstance(state, Counter)
    return state


def set_in(said: m.Message) -> ElementSet:
    assert isinstance(said, m.Written), said
    state = joined(TAGS, (said.state,))
    assert isinstance(state, ElementSet)
    return state


def add(one: One, amount: int, identity: str = "", now: float = NOW) -> int:
    return counter_in(told(one, put_of(VISITS, StateChange(amount), identity), now)).value


def bring(one: One, key: str, state: State, token: Token = NO_TOKEN) -> None:
    """Let a shard peer tell a state that it has named, beside all others."""
    version = Version(value_of(state), token, (int(NOW * 1000), 0, ELSEWHERE))
    item = Item({THERE: version}, Past({}, {THERE}))
    one.step("a2", m.Replicate(9, "b2", key, item, THERE))


def read_first(put: Put, state: State) -> Put:
    """Return the change as its origin gives it to a home when it has read this state."""
    return replace(put, states=(value_of(state),), context=Past({}, {THERE}))


def test_a_home_adds_to_what_it_holds_and_leaves_one_version(one: One) -> None:
    assert add(one, 5) == 5
    bring(one, VISITS, Counter(sums={ELSEWHERE: (1, 7)}))
    assert len(one.replica.peek(VISITS).versions) == 2
    assert add(one, -2) == 10
    assert len(one.replica.peek(VISITS).versions) == 1


# ---- changes that are sent again


def test_a_repeat_is_found_and_told_again(one: One) -> None:
    first = told(one, put_of(VISITS, StateChange(5), "a.x"))
    assert add(one, 1) == 6
    effects = one.step("b1", m.Accept(77, put_of(VISITS, StateChange(5), "a.x")))
    written = next(said for _, said in effects.tells if isinstance(said, m.Written))
    (again,) = [said for _, said in effects.tells if isinstance(said, m.Replicate)]
    assert isinstance(first, m.Written)
    assert written.dot == again.dot == first.dot
    assert counter_in(written).value == 6


def test_a_change_under_two_names_counts_once(one: One) -> None:
    assert add(one, 5, "a.x") == 5
    repeats = {"a.x": Repeat(int(NOW * 1000), 5, {ELSEWHERE: 1})}
    bring(one, VISITS, Counter(repeats, {ELSEWHERE: (1, 5)}))
    assert add(one, 1) == 6


def test_an_identity_is_of_one_change(one: One) -> None:
    add(one, 5, "a.x")
    said = told(one, put_of(VISITS, StateChange(6), "a.y"))
    assert isinstance(refusal_in(said), Reused)


def test_so_many_identities_are_remembered_and_old_ones_make_room(one: One) -> None:
    now_ms = int(NOW * 1000)
    repeats = {f"{n}.x": Repeat(now_ms, 1, {ELSEWHERE: n}) for n in range(1, REPEATS_MAX + 1)}
    bring(one, VISITS, Counter(repeats, {ELSEWHERE: (REPEATS_MAX, REPEATS_MAX)}))
    said = told(one, put_of(VISITS, StateChange(6), "a.y"))
    assert isinstance(refusal_in(said), Overfull)
    assert add(one, 1) == REPEATS_MAX + 1
    assert add(one, 1, "a.y", LATER) == REPEATS_MAX + 2
    kept = counter_in(told(one, put_of(VISITS, StateChange(6), "a.y"), LATER)).repeats
    assert len(kept) == REPEATS_MAX
    assert "1.x" not in kept


def test_a_repeat_is_forgotten_when_it_is_old_and_settled(one: One) -> None:
    add(one, 5, "a.x")
    assert "a.x" in _repeats(one, LATER)
    watermarks, keyspace = one.replica.keyspace.watermarks, one.replica.keyspace
    watermarks.take({keyspace.actor: keyspace.counter}, {keyspace.actor: keyspace.counter}, {})
    watermarks.settle(FIRST)
    assert "a.x" in _repeats(one, LATER)  # what others had written by now may still be to come
    watermarks.settle(FIRST)
    assert "a.x" in _repeats(one, NOW)
    assert "a.x" not in _repeats(one, LATER)


def _repeats(one: One, now: float) -> set[str]:
    """Return the identities that the state has after one more addition."""
    return {*counter_in(told(one, put_of(VISITS, StateChange(1)), now)).repeats}


def test_what_only_its_origin_has_read_is_not_done_again(one: One) -> None:
    """The home has no name of it to tell: it names the state as it was read."""
    read = Counter({"a.x": Repeat(1, 5, {ELSEWHERE: 1})}, {ELSEWHERE: (1, 5)})
    said = told(one, read_first(put_of(VISITS, StateChange(5), "a.x"), read), looked=True)
    assert isinstance(said, m.Written)
    assert said.dot[0] == one.replica.keyspace.actor
    assert counter_in(said).value == 5


# ---- removes and deletes


def test_a_remove_takes_what_its_home_has_seen(one: One) -> None:
    told(one, put_of(TAGS, StateChange(add=('"x"', "1"))))
    seen = ElementSet(tags={'"x"': (THERE,), "": (THERE,)}, seen=Past({ELSEWHERE: 1}))
    said = told(one, put_of(TAGS, StateChange(remove=('"x"',))))
    assert set_in(said).elements == {"1"}
    bring(one, TAGS, seen)
    said = told(one, put_of(TAGS, StateChange(add=("2",))))
    assert set_in(said).elements == {'"x"', "1", "2"}


def test_a_remove_waits_for_what_its_client_has_seen(one: One) -> None:
    told(one, put_of(TAGS, StateChange(add=("1",))))
    exact, name = {THERE: key_hash_of(TAGS, lww=False)}, one.replica.keyspace.name
    token = Token({}, exact, name=name)
    remove = replace(put_of(TAGS, StateChange(remove=("1",))), token=token)
    assert isinstance(told(one, remove), m.CannotDecide)
    plain = replace(put_of(TAGS, StateChange(add=("2",))), token=token)
    assert isinstance(told(one, plain), m.Written)


def test_what_its_origin_has_read_comes_with_a_change(one: One) -> None:
    seen = ElementSet(tags={"1": (THERE,)}, seen=Past({ELSEWHERE: 1}))
    remove = read_first(put_of(TAGS, StateChange(remove=("1",))), seen)
    assert set_in(told(one, remove, looked=True)).elements == set()
    bring(one, TAGS, seen)
    assert len(one.replica.peek(TAGS).versions) == 1


def test_a_delete_of_nothing_is_refused_and_one_of_something_resets(one: One) -> None:
    said = told(one, put_of(VISITS, StateChange(resets=True)))
    assert isinstance(refusal_in(said), Absent)
    add(one, 5)
    assert not counter_in(told(one, put_of(VISITS, StateChange(resets=True)))).is_there
    assert add(one, 2) == 2


# ---- beside that


def test_an_addition_does_not_lead_out_of_the_bounds(one: One) -> None:
    assert add(one, COUNT_MAX) == COUNT_MAX
    said = told(one, put_of(VISITS, StateChange(1)))
    assert isinstance(refusal_in(said), OutOfBounds)
    assert add(one, -1) == COUNT_MAX - 1


def test_a_change_depends_on_what_its_home_holds(one: One) -> None:
    deps = Token({}, {("cccccc.1", 3): key_hash_of("other", lww=True)})
    bring(one, VISITS, Counter(sums={ELSEWHERE: (1, 7)}), token=deps)
    said = told(one, put_of(VISITS, StateChange(1)))
    assert isinstance(said, m.Written)
    assert ("cccccc.1", 3) in said.token.exact


def test_a_client_is_told_the_state(one: One) -> None:
    for _, said in one.submit(put_of(VISITS, StateChange(4))).tells:
        if isinstance(said, m.Written):  # by the node to itself
            one.step("a1", said)
    ((_, stored),) = one.step("a2", m.Ack(7, (one.replica.keyspace.actor, 1))).relays
    assert isinstance(stored, Stored)
    assert joined(VISITS, (stored.state,)) == Counter(sums={stored.dot[0]: (1, 4)})


@pytest.mark.parametrize("operation", [Put(VISITS, b"1"), StoreLocally(VISITS, b"1", {})])
def test_no_value_is_written_where_a_state_is(one: One, operation: Put | StoreLocally) -> None:
    ((_, refused),) = one.submit(operation).replies
    assert isinstance(refused, Rejected)
