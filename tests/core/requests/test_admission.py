"""A node checks what a client claims at the door: the owner of its token, and what is in it."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings, strategies as st

from node.core.model.actors import actor_of, short_name
from node.core.model.cluster_name import Naming, joined, pieces
from node.core.model.conditions import Mode, Scope
from node.core.model.hlc import AHEAD_MS_MAX, MILLISECONDS_MAX, TIMESTAMP_COUNT_MAX
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.token import ALL_KEYS, Malformed, Token, decode, encode
from node.core.model.view import FIRST, no_view
from node.core.protocol import events, messages as m, operations as ops
from node.core.replica import restore
from node.core.requests.admission import FOREIGN, NOT_KNOWN
from tests.core.given import MEGABYTE, MemoryRows
from tests.core.one import FIG, NOW, PEAR, VIEW, One, alone

THEIRS = "ZZZZZZ"
STRANGER = actor_of(FIRST, "a node of another cluster")
DIGEST = key_hash_of(PEAR, True)


def foreign(name: str = THEIRS) -> Token:
    return Token({}, {(STRANGER, 3): DIGEST}, b"", (5, 0, STRANGER), name=name)


def heard(one: One, but: str = "") -> One:
    """Return a node that has heard of all nodes in its view, except this one."""
    for address in VIEW.nodes:
        if address not in (one.replica.address, but):
            incarnation = f"id of {address}"
            names = {short_name(incarnation): one.replica.keyspace.name}
            one.step(address, m.Gossip({address: {incarnation: 1}}, {}, names=names))
    return one


def asked(one: One, operation: ops.Request) -> ops.Outcome | None:
    """Return the answer, if there is one at once, of a node at which nothing else is under way."""
    effects = one.replica.step(NOW, one.replica.address, events.Submit(9, operation))
    if not effects.replies and not effects.relays:
        return None
    if isinstance(effects.replies[0][1], ops.Rejected | ops.Unavailable):
        assert (effects.records, effects.asks, effects.tells) == ([], [], [])
    return effects.replies[0][1]


def requests_with(token: Token) -> list[ops.Request]:
    return [ops.Put(PEAR, b"v", token=token), ops.Get(PEAR, token=token), ops.List(token=token)]


@pytest.mark.parametrize("name", [THEIRS, "", "of both"])
def test_a_token_of_another_cluster_is_refused_and_nothing_is_kept(name: str) -> None:
    one = heard(One())
    name = one.replica.keyspace.name + THEIRS if name == "of both" else name
    for request in requests_with(foreign(name)):
        assert asked(one, request) == FOREIGN
    context = Past({STRANGER: 2}, {(STRANGER, 7)})
    assert asked(one, ops.Put(PEAR, b"v", Mode.SIBLINGS, context=context)) == FOREIGN


@pytest.mark.parametrize("stamp", [(0, 0, ""), (5, 0, STRANGER)])
def test_a_token_that_says_nothing_but_its_cluster_is_refused_too(stamp: Any) -> None:
    assert asked(heard(One()), ops.Get(PEAR, token=Token(timestamp=stamp, name=THEIRS))) == FOREIGN


def test_a_node_that_has_not_heard_of_all_does_not_know() -> None:
    for unheard in VIEW.nodes[1:]:
        one = heard(One(), but=unheard)
        for request in requests_with(foreign()):
            assert asked(one, request) == NOT_KNOWN
        incarnation = f"id of {unheard}"  # its name may be any, as long as it has not been heard
        one.step(unheard, m.Gossip({unheard: {incarnation: 1}}, {}))
        assert asked(one, ops.Get(PEAR, token=foreign())) == NOT_KNOWN
        one.step(unheard, m.Gossip({}, {}, names={short_name(incarnation): "AAAAAA"}))
        assert asked(one, ops.Get(PEAR, token=foreign())) == FOREIGN


def test_names_of_nodes_that_lived_and_names_of_this_cluster_are_ours() -> None:
    one = heard(One())
    incarnation = short_name("id of b2")
    one.step("a2", m.Gossip({"a2": {"id of a2": 1}}, {}, names={"BBBBBB": "CCCCCC"}))
    for name in (incarnation, "CCCCCC", one.replica.keyspace.name + incarnation):
        token = Token({}, {(STRANGER, 3): DIGEST}, name=name)  # of a node that no other has met
        assert asked(one, ops.Put(PEAR, b"v", token=token)) not in (FOREIGN, NOT_KNOWN)


def test_without_a_name_it_counts_whose_dots_are_in_it() -> None:
    """This is for tokens of the version before."""
    one = heard(One())
    ours = actor_of(FIRST, "id of a2")
    for token in (Token({}, {(ours, 3): DIGEST}), Token({ours: 3}, {}, ALL_KEYS), Token()):
        assert asked(one, ops.Put(PEAR, b"v", token=token)) not in (FOREIGN, NOT_KNOWN)


# ------------------------------------------------------------------ what no node can have named


def impossible_tokens(one: One) -> Iterator[Token]:
    own, shard_peer = one.replica.keyspace.actor, actor_of(FIRST, "id of a2")
    counter = one.replica.keyspace.counter
    yield Token({}, {(own, counter + 1): DIGEST})
    yield Token({own: counter + 1}, {}, ALL_KEYS)
    yield Token({}, {(shard_peer, 1): key_hash_of(FIG, True)})  # a key of the other shard
    yield Token({}, {(actor_of(FIRST, "id of b1"), 1): DIGEST})


def test_a_dot_that_no_node_can_have_named_is_refused() -> None:
    one = heard(One())
    one.submit(ops.Put(PEAR, b"v", level="one"))
    for token in impossible_tokens(one):
        ours = msgspec.structs.replace(token, name=one.replica.keyspace.name)
        for request in requests_with(ours):
            outcome = asked(one, request)
            assert isinstance(outcome, ops.Rejected)
            assert "no node ever named write" in outcome.reason
    possible = Token({}, {(one.replica.keyspace.actor, 1): DIGEST})
    assert not isinstance(asked(one, ops.Get(PEAR, token=possible)), ops.Rejected)


def test_a_home_refuses_what_it_never_named_to_any_node() -> None:
    one = heard(One())
    for token in impossible_tokens(one):
        effects = one.step("b1", m.Accept(77, ops.Put(PEAR, b"v", token=token)))
        [(target, told)] = effects.tells
        assert isinstance(told, m.Declined)
        assert isinstance(told.outcome, ops.Rejected)
        assert (target, effects.records) == ("b1", [])


def test_a_peers_clock_may_name_what_is_still_to_come() -> None:
    """The causal contract's /replicate: such a write is early until then (decision 0019)."""
    one = alone()
    token = Token({one.replica.keyspace.actor: 3}, {}, ALL_KEYS)
    [outcome] = outcomes_of(one, ops.Put(PEAR, b"v", token=token, foretold=True), 9, NOW)
    assert isinstance(outcome, ops.Stored)
    [outcome] = outcomes_of(one, ops.Put(PEAR, b"v", token=foreign(), foretold=True), 10, NOW)
    assert outcome == FOREIGN


def test_a_context_and_a_vector_clock_name_nothing_above_our_own_count() -> None:
    one = heard(One())
    one.arrive()
    own = one.replica.keyspace.actor
    for context in (Past({own: 1}), Past({}, {(own, 9)})):
        put = ops.Put(PEAR, b"v", Mode.SIBLINGS, context=context)
        assert isinstance(asked(one, put), ops.Rejected)
    assert isinstance(asked(one, ops.StoreLocally(PEAR, b"v", {own: 1})), ops.Rejected)
    assert isinstance(asked(one, ops.StoreLocally(PEAR, b"v", {"alice": 9})), ops.Stored)


def test_a_disk_at_several_addresses_is_judged_by_all_of_them() -> None:
    """A node that was moved with its disk has written as an owner of what it owned there."""
    one = heard(One())
    one.step("b1", m.Gossip({"b1": {"id of a2": 1}}, {}))
    for key in (PEAR, FIG):
        token = Token({}, {(actor_of(FIRST, "id of a2"), 1): key_hash_of(key, True)})
        assert not isinstance(asked(one, ops.Get(PEAR, token=token)), ops.Rejected)


# ------------------------------------------------------------------ names


def test_a_node_goes_under_the_first_name_it_is_told_and_keeps_it() -> None:
    naming = Naming("AAAAAA", {})
    assert naming.take("BBBBBB")
    assert not naming.take("CCCCCC")
    assert not naming.merge({"AAAAAA": "CCCCCC"})
    assert naming.merge({"DDDDDD": "EEEEEE"})
    assert naming.names == {"AAAAAA": "BBBBBB", "DDDDDD": "EEEEEE"}
    assert Naming("AAAAAA", {}).take("")


def test_a_new_incarnation_goes_under_a_name_that_its_disk_knows() -> None:
    """No other node tells it a name; a node that is down meanwhile has heard of no other."""
    names = {"DDDDDD": "EEEEEE", "CCCCCC": "EEEEEE", "FFFFFF": "FFFFFF"}
    naming = Naming("AAAAAA", names)
    assert naming.take("")
    assert naming.name == "EEEEEE"
    told = Naming("AAAAAA", names)
    assert told.take("FFFFFF")
    assert told.name == "FFFFFF"


def test_a_token_of_two_names_says_both() -> None:
    assert joined("BBBBBB", "AAAAAA") == "AAAAAABBBBBB"
    assert joined("AAAAAABBBBBB", "BBBBBB") == "AAAAAABBBBBB"
    assert joined("", "AAAAAA") == joined("AAAAAA", "") == "AAAAAA"
    assert pieces("AAAAAABBBBBB") == ["AAAAAA", "BBBBBB"]


def test_an_old_disk_gets_a_name_at_its_next_start_and_keeps_it() -> None:
    one = alone()
    name = one.replica.keyspace.name
    assert name == short_name(one.replica.node_id)
    del one.rows.tables["meta"]["names"]  # as a version without names has left it
    assert One("a1", first_view(["a1"], 1), one.rows).replica.keyspace.name == name


def test_a_node_that_is_told_its_view_goes_under_the_tellers_name() -> None:
    rows, view = MemoryRows(), no_view(("a1", "c1"))
    joiner = restore("c1", Start(view, join=True), rows, Options(MEGABYTE), Random(3))
    assert joiner.keyspace.name == ""
    gossip = m.Gossip({"a1": {"id of a1": 1}}, {}, names={"AAAAAA": "BBBBBB"}, name="BBBBBB")
    joiner.step(NOW, "a1", m.Envelope(m.Epoch(), m.Views([VIEW], FIRST, gossip)))
    assert joiner.keyspace.name == "BBBBBB"


def test_a_read_that_comes_before_any_news_takes_its_name_from_the_state() -> None:
    one = One()
    one.replica.views.naming.names.clear()
    one.replica.keyspace.name = ""
    one.submit(ops.Get(PEAR), 7)
    item = Item({(actor_of(FIRST, "id of a2"), 1): Version(b"v")})
    state = m.State(7, item, one.replica.keyspace.clock.copy(), [FIRST], "BBBBBB")
    [(_, outcome)] = one.step("a2", state).replies
    assert isinstance(outcome, ops.Found)
    assert outcome.token.name == "BBBBBB"


# ------------------------------------------------------------------ what is given out is taken back


stamp_numbers = st.integers(0, 9) | st.integers(0, 2**63) | st.sampled_from(
    [MILLISECONDS_MAX - 1, MILLISECONDS_MAX, TIMESTAMP_COUNT_MAX - 1, TIMESTAMP_COUNT_MAX,
     2**53 - 1, int(NOW * 1000), int(NOW * 1000) + AHEAD_MS_MAX, int(NOW * 1000) + AHEAD_MS_MAX + 1]
)  # fmt: skip
tags = st.sampled_from(["AAAAAA", "AAAAAQ", "9fA3kQ", "AGAAAA", "short"])
names_of = st.sampled_from(["own", "theirs", "", "both", "odd!!"])
actor_names = st.sampled_from(["own", STRANGER, "x", f"{short_name('id of b1')}.1", "AAAAAA.9.Zz"])
entries = st.dictionaries(
    actor_names,
    st.tuples(stamp_numbers, st.dictionaries(stamp_numbers.map(str), tags, max_size=3)),
    max_size=3,
)
wires = st.fixed_dictionaries(
    {"v": st.just(1)},
    optional={
        "t": entries,
        "h": st.tuples(stamp_numbers, stamp_numbers, actor_names),
        "k": st.sampled_from(["", "AAAA", "_" * 85 + "w"]),
        "w": st.tuples(stamp_numbers, st.sampled_from(["", "Zz90", "too long a name"])),
        "c": names_of,
    },
)


def own_words(wire: Any, one: One) -> Any:
    """Return the drawn token, with this node's own name and actor in their places."""
    own, name = one.replica.keyspace.actor, one.replica.keyspace.name
    names = {"own": name, "theirs": THEIRS, "both": name + THEIRS}
    text = orjson.dumps(wire, option=orjson.OPT_NON_STR_KEYS) if _fits(wire) else b"{}"
    said = orjson.loads(text)
    if "c" in said:
        said["c"] = names.get(said["c"], said["c"])
    if "t" in said:
        said["t"] = {own if a == "own" else a: entry for a, entry in said["t"].items()}
    if "h" in said and said["h"][2] == "own":
        said["h"][2] = own
    return said


def _fits(wire: Any) -> bool:
    try:
        orjson.dumps(wire)
    except orjson.JSONEncodeError:
        return False
    return True


def outcomes_of(one: One, request: ops.Request, number: int, now: float) -> list[ops.Outcome]:
    """Return what the client of a lone node is told, when all messages to itself have come."""
    address = one.replica.address
    effects = one.step(address, events.Submit(number, request), now)
    told = [outcome for _, outcome in (*effects.replies, *effects.relays)]
    for target, message in effects.tells:
        if target == address:
            effects = one.step(address, m.Envelope(one.replica.views.epoch, message), now)
            told += [outcome for _, outcome in (*effects.replies, *effects.relays)]
    return told


@settings(max_examples=120)
@given(wires, st.sampled_from([0.0, -3600.0, 3600.0, 0.3]), st.booleans())
def test_what_a_node_gives_out_every_node_takes_back(
    wire: Any, ahead_s: float, is_delete: bool
) -> None:
    """A request is refused and changes nothing, or its answer's token is in range.

    A node whose clock is elsewhere takes that token back.
    """
    one = alone()
    before = {table: dict(rows) for table, rows in one.rows.tables.items()}
    try:
        token = decode(own_words(wire, one))
    except Malformed:
        return
    put = ops.Put(PEAR, None if is_delete else b"v", token=token, level="one")
    [outcome] = outcomes_of(one, put, 9, NOW)
    if not isinstance(outcome, ops.Stored):
        assert isinstance(outcome, ops.Rejected)
        assert one.rows.tables == before
        return
    later = NOW + 1.0
    [read] = outcomes_of(one, ops.Get(PEAR), 10, later)
    assert isinstance(read, ops.Absent if is_delete else ops.Found)
    for number, answer in enumerate((outcome, read), 11):
        back = decode(orjson.loads(encode(answer.token)))
        assert back.timestamp[0] <= later * 1000 + AHEAD_MS_MAX
        for scope in Scope:
            get = ops.Get(FIG, token=back, scope=scope)
            again = outcomes_of(one, get, number * 9, later + max(0.0, ahead_s))
            assert not any(isinstance(each, ops.Rejected | ops.Unavailable) for each in again)


def test_a_stamp_that_was_stored_before_is_not_handed_on() -> None:
    """A version that took any timestamp stored it; no answer has it, nor its dependencies'."""
    one = heard(One())
    one.arrive()
    absurd = 2**53 - 1, 2**53 - 1, "x"
    dot = actor_of(FIRST, "id of a2"), 1
    version = Version(b"v", Token({}, {}, b"", absurd), absurd, True)
    item = Item({dot: version}, Past({dot[0]: 1}))
    one.step("a2", m.Replicate(1, "a2", PEAR, item, dot))
    [(_, found)] = one.submit(ops.Get(PEAR)).replies
    assert isinstance(found, ops.Found)
    assert decode(orjson.loads(encode(found.token))).timestamp == (int(NOW * 1000), 0, "")
    effects = one.submit(ops.Put(PEAR, b"w", token=found.token, level="one"), 8)
    named = next(told for _, told in effects.tells if isinstance(told, m.Written))
    assert decode(orjson.loads(encode(named.token))).timestamp[0] <= NOW * 1000 + 500
    [(_, after)] = one.submit(ops.Get(PEAR), 9).replies
    assert isinstance(after, ops.Found)
    assert after.values == (b"w",)
