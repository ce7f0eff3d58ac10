"""A token always claims at least what its client depends on, and it stays small.

The tests compare what a token claims of a key as a set of dots.  Trimming may add to it, and may
leave out only what every replica has or what a later dot of the same actor and lww key replaced.
"""

import pytest
from hypothesis import given, strategies as st

from node.core.model.actors import actor_of
from node.core.model.dots import Dot, Vector
from node.core.model.keys import key_hash_of
from node.core.model.token import COUNT_MAX, EXACT_MAX, Token, same_key
from node.core.model.view import FIRST
from tests.core.given import all_dots, digests, dots, stamp, tokens

ALL_KEYS = b"\xff" * 64
PEAR, PLUM = key_hash_of("pear", True), key_hash_of("plum", False)
stables = st.dictionaries(st.sampled_from("abc"), st.integers(1, 60), max_size=3)


def need(token: Token, digest: int) -> set[Dot]:
    """Return what a read of this key waits for."""
    exact = set(token.dots_of(digest))
    return exact | all_dots(token.floor) if token.binds(digest) else exact


def is_replaced(dot: Dot, digest: int, token: Token) -> bool:
    """Whether the token holds a later dot of the same actor and lww key."""
    same = [d for d, tag in token.exact.items() if tag == digest and d[0] == dot[0]]
    return bool(digest & 1) and any(d[1] > dot[1] for d in same)


@given(tokens(), stables, st.integers(0, EXACT_MAX), digests)
def test_trimming_never_claims_less(token: Token, stable: Vector, most: int, other: int) -> None:
    trimmed = token.trimmed(stable).within(most)
    for digest in {*token.exact.values(), other}:
        replaced = {d for d in token.dots_of(digest) if is_replaced(d, token.exact[d], token)}
        gone = need(token, digest) - need(trimmed, digest) - all_dots(stable)
        assert gone <= replaced
    assert len(trimmed.exact) <= most
    assert trimmed.timestamp == token.timestamp


def test_trimming_does_not_lower_a_floor() -> None:
    exact = {("a", n): key_hash_of(f"key{n}", False) for n in range(1, 41)}
    trimmed = Token({"a": 100}, exact, ALL_KEYS).trimmed({})
    assert trimmed.floor == {"a": 100}


@given(tokens(), stables)
def test_what_is_stable_is_dropped(token: Token, stable: Vector) -> None:
    trimmed = token.trimmed(stable)
    assert all(n > stable.get(actor, 0) for actor, n in trimmed.exact)
    assert all(n > stable.get(actor, 0) for actor, n in trimmed.floor.items())
    assert bool(trimmed.keys) <= bool(trimmed.floor)
    assert not token.trimmed(dict.fromkeys("abc", COUNT_MAX))


def test_of_an_lww_key_the_last_dot_of_each_actor_is_kept() -> None:
    exact = {("a", 1): PEAR, ("a", 2): PEAR, ("b", 1): PEAR, ("a", 3): PLUM, ("a", 4): PLUM}
    kept = Token(exact=exact).trimmed({}).exact
    assert kept == {d: tag for d, tag in exact.items() if d != ("a", 1)}


@given(tokens(), tokens(), digests)
def test_a_joined_token_claims_what_both_do(one: Token, two: Token, other: int) -> None:
    both = one.joined(two)
    assert both.timestamp == max(one.timestamp, two.timestamp)
    for digest in {*(one.exact.keys() ^ two.exact.keys() and one.exact.values()), other}:
        mine = {d for d in one.dots_of(digest) if d not in two.exact}
        assert mine <= need(both, digest)
        if one.binds(digest):
            assert all_dots(one.floor) <= need(both, digest)
        if two.binds(digest):
            assert all_dots(two.floor) <= need(both, digest)


def test_nothing_joined_changes_nothing() -> None:
    token = Token({"a": 2}, {("b", 1): PEAR}, ALL_KEYS, stamp(5))
    assert token.joined(Token()) is token
    assert token.joined(Token(timestamp=stamp(9))).timestamp == stamp(9)
    assert Token().joined(token) == token


@given(tokens(), dots, st.dictionaries(st.sampled_from("abc"), st.integers(0, 60)))
def test_a_write_replaces_only_dots_of_its_key(token: Token, dot: Dot, replaced: Vector) -> None:
    after = token.after_write(PEAR, dot, stamp(50), replaced)
    kept = {
        d: tag
        for d, tag in token.exact.items()
        if not (same_key(tag, PEAR) and d in all_dots(replaced))
    }
    assert after.exact == {**kept, dot: PEAR}
    assert after.floor == token.floor
    assert after.timestamp == max(token.timestamp, stamp(50))


def test_one_key_is_one_key_in_both_modes() -> None:
    lww, siblings = key_hash_of("pear", True), key_hash_of("pear", False)
    assert same_key(lww, siblings)
    assert not same_key(PEAR, PLUM)
    token = Token({}, {("a", 1): siblings, ("a", 2): PLUM})
    assert token.dots_of(lww) == [("a", 1)]
    assert token.after_write(lww, ("a", 3), stamp(1), {"a": 2}).dots_of(siblings) == [("a", 3)]


@given(st.lists(digests, min_size=EXACT_MAX + 1, max_size=120, unique=True))
def test_the_filter_never_says_a_false_no(keys: list[int]) -> None:
    exact = {("a", n + 1): digest for n, digest in enumerate(keys)}
    trimmed = Token(exact=exact).trimmed({})
    for (_, n), digest in exact.items():
        kept = any(same_key(tag, digest) for tag in trimmed.exact.values())
        assert kept or (trimmed.binds(digest) and trimmed.floor["a"] >= n)
    assert not Token(keys=ALL_KEYS).binds(keys[0])  # without floors there is nothing to bind


def test_the_filter_tells_most_keys_apart() -> None:
    exact = {("a", n): key_hash_of(f"key{n}", False) for n in range(1, 60)}
    trimmed = Token(exact=exact).trimmed({})
    false = sum(trimmed.binds(key_hash_of(f"other{n}", False)) for n in range(1000))
    assert false < 100


@pytest.mark.parametrize("replicas", [1, 12, 64])
def test_a_trimmed_token_has_at_most_32_exact_dots(replicas: int) -> None:
    names = [actor_of(FIRST, str(i)) for i in range(replicas)]
    exact = {(names[n % replicas], n): key_hash_of(str(n), False) for n in range(1, 1000)}
    trimmed = Token(exact=exact).trimmed({})
    assert len(trimmed.exact) <= EXACT_MAX
    assert len(trimmed.keys) == 64
