"""Letters that arrive together are one step, with the effects that they would have one by one."""

from itertools import pairwise

from hypothesis import given, strategies as st

from node.core.model.item import Item, Past, Version
from node.core.model.options import Options
from node.core.model.view import FIRST
from node.core.protocol import events, messages as m
from node.core.protocol.effects import Effects
from tests.core.given import MEGABYTE, Held
from tests.core.moves import SECOND
from tests.core.one import NOW, PEAR, One

EPOCH = m.Epoch(FIRST, FIRST)


def replicate(n: int, key: str = PEAR, value: bytes = b"v") -> m.Replicate:
    item = Item({("x", n): Version(value)}, Past({"x": n}))
    return m.Replicate(n, "b1", key, item, ("x", n))


drawn = st.one_of(
    st.builds(replicate, st.integers(1, 9)),
    st.builds(m.Ack, st.integers(1, 9), st.just(("x", 1))),
    st.builds(m.Heartbeat, st.text("ab", min_size=1, max_size=2)),
    st.builds(m.Fetch, st.integers(1, 9), st.just(PEAR)),
)
letter_lists = st.lists(st.builds(m.Envelope, st.just(EPOCH), drawn), max_size=12)


@given(letter_lists)
def test_all_letters_stay_in_their_order(envelopes: list[m.Envelope]) -> None:
    grouped = events.together(envelopes)
    flat: list[m.Envelope] = []
    for each in grouped:
        flat += each.envelopes if isinstance(each, events.Envelopes) else [each]
    assert flat == envelopes
    for each in grouped:
        inside = each.envelopes if isinstance(each, events.Envelopes) else []
        assert all(isinstance(envelope.message, m.Replicate | m.Ack) for envelope in inside)
        if not inside:
            assert isinstance(each, m.Envelope)
            assert not isinstance(each.message, m.Replicate | m.Ack)
    kinds = [isinstance(each, events.Envelopes) for each in grouped]
    assert not any(one and two for one, two in pairwise(kinds))


def done(one: One, *envelopes: m.Envelope) -> Effects:
    effects = one.replica.step(NOW, "a2", events.Envelopes(list(envelopes)))
    one.rows.apply(list(effects.records))
    return effects


def test_what_comes_together_is_one_write_to_the_disk() -> None:
    together, apart = One(), One()
    envelopes = [m.Envelope(EPOCH, replicate(n, f"{PEAR}{n}")) for n in range(1, 4)]
    effects = done(together, *envelopes)
    alone = [apart.step("a2", envelope.message) for envelope in envelopes]
    assert effects.records == [record for each in alone for record in each.records]
    assert effects.tells == [tell for each in alone for tell in each.tells]
    assert together.rows.tables == apart.rows.tables


def test_each_letter_is_heard_under_its_own_stamp() -> None:
    one = One()
    effects = done(
        one,
        m.Envelope(m.Epoch(SECOND, FIRST), replicate(1)),
        m.Envelope(EPOCH, replicate(2, "plum")),
    )
    acks = [message for _, message in effects.tells if isinstance(message, m.Ack)]
    assert [ack.dot for ack in acks] == [("x", 2)]


def test_a_key_that_is_written_twice_in_one_step_counts_once() -> None:
    """This holds if its item has left the cache meanwhile: its row is not in the store yet."""
    held = Held("b")
    held.keyspace = type(held.keyspace)(held.rows, Options(cache_bytes_max=1), held.turn)
    held.keyspace.parts.adopt(FIRST, held.slots, {FIRST}, FIRST)
    held.keyspace.on_view(FIRST, FIRST, "b")
    for n, key in enumerate(["k", "l", "k"], 1):
        message = replicate(n, key, b"v" * (MEGABYTE // 100))
        held.keyspace.take(key, message.item, (message.dot,), NOW)
    assert held.keyspace.live_keys == 2
