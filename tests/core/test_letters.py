"""Letters that come together are done in one step, and cause what they would have caused alone."""

from itertools import pairwise

from hypothesis import given, strategies as st

from node.core import messages as m
from node.core.effects import Effects
from node.core.siblings import Item, Past, Version
from node.core.view import FIRST
from tests.core.given import MEGABYTE, Held
from tests.core.test_moving import SECOND
from tests.core.test_replica import NOW, PEAR, One

STAMP = m.Stamp(FIRST, FIRST)


def replicate(n: int, key: str = PEAR, value: bytes = b"v") -> m.Replicate:
    item = Item({("x", n): Version(value)}, Past({"x": n}))
    return m.Replicate(n, "b1", key, item, ("x", n))


drawn = st.one_of(
    st.builds(replicate, st.integers(1, 9)),
    st.builds(m.Ack, st.integers(1, 9), st.just(("x", 1))),
    st.builds(m.Beat, st.text("ab", min_size=1, max_size=2)),
    st.builds(m.Fetch, st.integers(1, 9), st.just(PEAR)),
)
letter_lists = st.lists(st.builds(m.Letter, st.just(STAMP), drawn), max_size=12)


@given(letter_lists)
def test_all_letters_stay_in_their_order(letters: list[m.Letter]) -> None:
    grouped = m.together(letters)
    flat: list[m.Letter] = []
    for each in grouped:
        flat += each.letters if isinstance(each, m.Letters) else [each]
    assert flat == letters
    for each in grouped:
        inside = each.letters if isinstance(each, m.Letters) else []
        assert all(isinstance(letter.message, m.Replicate | m.Ack) for letter in inside)
        if not inside:
            assert isinstance(each, m.Letter)
            assert not isinstance(each.message, m.Replicate | m.Ack)
    kinds = [isinstance(each, m.Letters) for each in grouped]
    assert not any(one and two for one, two in pairwise(kinds))


def done(one: One, *letters: m.Letter) -> Effects:
    effects = one.replica.step(NOW, "a2", m.Letters(list(letters)))
    one.rows.apply(list(effects.records))
    return effects


def test_what_comes_together_is_one_write_to_the_disk() -> None:
    together, apart = One(), One()
    letters = [m.Letter(STAMP, replicate(n, f"{PEAR}{n}")) for n in range(1, 4)]
    effects = done(together, *letters)
    alone = [apart.step("a2", letter.message) for letter in letters]
    assert effects.records == [record for each in alone for record in each.records]
    assert effects.tells == [tell for each in alone for tell in each.tells]
    assert together.rows.tables == apart.rows.tables


def test_each_letter_is_heard_under_its_own_stamp() -> None:
    one = One()
    effects = done(
        one,
        m.Letter(m.Stamp(SECOND, FIRST), replicate(1)),
        m.Letter(STAMP, replicate(2, "plum")),
    )
    acks = [message for _, message in effects.tells if isinstance(message, m.Ack)]
    assert [ack.dot for ack in acks] == [("x", 2)]


def test_a_key_that_is_written_twice_in_one_step_counts_once() -> None:
    """Also when its item has left the cache meanwhile: its row is not in the store yet."""
    held = Held("b")
    held.keyspace = type(held.keyspace)(held.rows, cache_bytes_max=1)
    held.keyspace.parts.adopt(FIRST, held.slots, {FIRST}, FIRST)
    held.keyspace.enter(FIRST, FIRST, "b")
    for n, key in enumerate(["k", "l", "k"], 1):
        message = replicate(n, key, b"v" * (MEGABYTE // 100))
        held.keyspace.take(key, message.item, (message.dot,), NOW)
    assert held.keyspace.live_keys == 2
