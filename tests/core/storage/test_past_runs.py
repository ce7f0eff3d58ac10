"""Past runs share one name, and messages mean the right run, however many there were."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from node.core.model.actors import HEAD, actor_of
from node.core.model.dots import Vector
from node.core.model.item import Item, Past
from node.core.model.token import ALL_KEYS, Token, encode
from node.core.model.view import FIRST, ViewId
from node.core.protocol import messages as m
from node.core.protocol.step import Step
from node.core.storage.past_runs import FLOORS_MAX, ChainLinks, PastRuns, UnknownRuns
from tests.core.given import MemoryRows

SECOND = ViewId(2, "p")
X = [(actor_of(FIRST, "x", f"run{i:03}"), i % 5 + 1) for i in range(6)]
Y = [(actor_of(FIRST, "y", f"run{i:03}"), i % 3 + 1) for i in range(4)]
ACTORS = [actor for actor, _ in (*X, *Y)] + [actor_of(FIRST, "z", "runner")]

vectors = st.dictionaries(st.sampled_from(ACTORS), st.integers(1, 6), max_size=11)
complete = st.builds(lambda x, y: dict(X[:x]) | dict(Y[:y]), st.integers(0, 6), st.integers(0, 4))


def knowing(*chains: ChainLinks) -> PastRuns:
    runs = PastRuns(MemoryRows(), Step())
    runs.merge(chains)
    return runs


@given(vectors, complete)
def test_what_is_packed_is_meant_as_it_was(some: Vector, most: Vector) -> None:
    runs, vector = knowing(X, Y), {**most, **some}
    packed = runs.pack(vector)
    assert runs.unpack(packed) == vector
    assert len(packed) <= len(vector)
    assert knowing(Y, X).unpack(packed) == vector  # a head means the same everywhere


def test_complete_runs_are_said_by_one_name() -> None:
    packed = knowing(X).pack(dict(X))
    assert [HEAD in actor for actor in packed] == [True]
    assert knowing(X).pack({**dict(X), X[3][0]: 99}).keys() >= {X[3][0], X[4][0], X[5][0]}
    assert knowing(X).pack(dict(X), {X[0][0]: {9}}) == dict(X)  # more is known of it than that


def test_a_head_that_is_not_known_is_no_vector() -> None:
    packed = knowing(X).pack(dict(X))
    with pytest.raises(UnknownRuns):
        knowing(X[:3]).unpack(packed)
    assert knowing(X).unpack(knowing(X[:3]).pack(dict(X))) == dict(X)


def test_chains_of_disks_that_have_parted_stay_apart() -> None:
    other = [*X[:2], (actor_of(FIRST, "x", "parted"), 7)]
    runs = knowing(X, other)
    assert runs.unpack(runs.pack(dict(X))) == dict(X)
    assert runs.unpack(runs.pack(dict(other))) == dict(other)
    assert len(runs.known()) == 2


def test_messages_are_the_same_where_nothing_is_said_shorter() -> None:
    runs = knowing(X)
    message = m.Replicate(1, "a1", "k", Item({}, Past({"b": 2})), ("b", 2))
    assert runs.sent([("a2", message)], "a1")[0][1] is message
    assert runs.received(message) is message
    long = m.Replicate(1, "a1", "k", Item({}, Past(dict(X))), ("b", 2))
    [(_, two), (_, three), (_, own)] = runs.sent([("a2", long), ("a3", long), ("a1", long)], "a1")
    assert two is three is not long
    assert own is long
    assert runs.received(two) == long


def test_a_node_goes_on_from_the_chain_on_its_disk() -> None:
    rows, turn = MemoryRows(), Step()
    runs = PastRuns(rows, turn)
    incarnation = actor_of(FIRST, "x")
    runs.declare(incarnation, dict(X[:2]))
    rows.apply(turn.records)
    again = PastRuns(rows, turn)
    again.declare(incarnation, dict(X[:3]))
    assert again.known() == [X[:3]]
    again.retire(SECOND)
    assert not again
    rows.apply(turn.records)
    assert not PastRuns(rows, Step())


@given(vectors)
def test_a_folded_token_depends_on_no_less(floor: Vector) -> None:
    runs = knowing(X, Y)
    token = Token(floor, {}, ALL_KEYS)
    folded = runs.folded(token)
    spelled = runs.spelled(folded)
    assert all(spelled.floor.get(actor, 0) >= n for actor, n in floor.items())
    assert folded == token or len(folded.floor) < len(floor) > FLOORS_MAX


def test_a_thousand_runs_are_short_in_clocks_and_tokens() -> None:
    chain = [(actor_of(FIRST, "x", f"r{i:05}"), 3) for i in range(1000)]
    runs, present = knowing(chain), {actor_of(FIRST, "x", "r01000"): 2}
    vector = dict(chain) | present
    assert len(msgspec.msgpack.encode(runs.pack(vector))) < 60
    token = runs.folded(Token(vector, {}, ALL_KEYS))
    assert len(token.floor) == 2
    assert len(encode(token)) < 400
    assert runs.spelled(token).floor == vector
