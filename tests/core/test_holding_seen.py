"""What a node shows while it holds something back, and what it tells the others."""

from node.core import messages as m
from node.core.clock import Clock
from node.core.exchange import absorb
from node.core.token import EXACT_MAX, Token
from node.core.view import FIRST, actor_of, digest_of, first_view
from tests.core.given import page_of_rows, row
from tests.core.test_holding import (
    AFTER_CAUSE,
    CAUSE,
    HOLD_S,
    PLUM,
    comes,
    early,
    looked,
    member,
    shown,
    version,
)
from tests.core.test_replica import FIG, NOW, PEAR, One

# ---- what a node has seen


def stored_deps(one: One, key: str = PEAR) -> Token:
    """What a write without a token depends on here."""
    one.submit(m.Put(key, b"mine", after_all=True))
    item = one.replica.peek(key)
    return next(v.deps for v in item.versions.values() if v.value == b"mine")


def test_a_write_without_a_token_depends_on_all_that_is_shown() -> None:
    one = member()
    comes(one, PEAR, CAUSE, version(b"cause"))
    comes(one, "p", ("x", 3), version(b"beyond a gap"))
    deps = stored_deps(one, PLUM)
    assert deps.floor == {"x": 1}
    assert deps.binds(digest_of("anything", True))
    assert deps.exact == {("x", 3): digest_of("p", True)}


def test_it_does_not_depend_on_what_is_held() -> None:
    one = member()
    early(one)
    comes(one, "p", ("y", 2), version(b"shown"))
    deps = stored_deps(one)
    assert (deps.floor, deps.exact) == ({}, {("y", 2): digest_of("p", True)})


def test_what_cannot_be_named_beside_what_is_held_is_named_with_it() -> None:
    one = member()
    early(one)
    keys = [key for key in map("key{}".format, range(200)) if _is_ours(one, key)]
    for n in range(2, EXACT_MAX + 3):
        comes(one, keys[n], ("y", n), version(b"shown"))
    deps = stored_deps(one)
    assert (deps.floor, deps.exact) == ({"y": EXACT_MAX + 2}, {})
    assert shown(one, PEAR) == b"mine"


# ---- looking


def test_a_look_shows_clock_store_and_what_is_held() -> None:
    one = member()
    comes(one, "p", ("y", 1), version(b"shown"))
    comes(one, PLUM, ("y", 2), version(b"effect", AFTER_CAUSE))
    seen = looked(one)
    assert (seen.clock, seen.items, seen.after) == ({"y": 1}, {"p": b"shown"}, None)
    missing = {"x": (0, 1)}
    assert seen.early == [m.Early(PLUM, b"effect", ("y", 2), AFTER_CAUSE, missing)]
    assert seen.actors == {
        one.replica.keyspace.actor: "a1",
        actor_of(FIRST, "id of a2"): "a2",
    }
    comes(one, PEAR, CAUSE, version(b"cause"))
    after = looked(one)
    assert (after.clock, after.early) == ({"x": 1, "y": 2}, [])
    assert after.items == {"p": b"shown", PLUM: b"effect", PEAR: b"cause"}


def test_pages_together_are_the_store_once_without_what_was_deleted() -> None:
    one = member()
    keys = [key for key in map("key{}".format, range(40)) if _is_ours(one, key)]
    for n, key in enumerate(keys, 1):
        comes(one, key, ("y", n), version(b"%d" % n if n % 3 else None))
    found: list[str] = []
    pages, after = 0, None
    while True:
        page = looked(one, after=after, limit=5)
        found += page.items
        pages += 1
        if page.after is None:
            break
        assert len(page.items) == 5
        after = page.after
    assert sorted(found) == sorted(key for n, key in enumerate(keys, 1) if n % 3)
    assert pages >= len(found) // 5


def _is_ours(one: One, key: str) -> bool:
    return "a1" in one.replica._members_for(key, 0)


def test_a_node_of_no_shard_shows_nothing() -> None:
    one = One("a1", first_view(["b1", "b2"], 1), hold_s=HOLD_S)
    assert looked(one) == m.Looked({}, {}, {}, None, [])


# ---- what the others are told


def told(one: One) -> Clock:
    """What a comparison with the fellows says of our slots."""
    return one.replica.upkeep._compare(answer=False).holdings[0].clock


def test_what_is_hidden_stays_in_tokens_everywhere() -> None:
    """Nobody may take it for what all have, and drop it from tokens."""
    one = member()
    early(one)
    comes(one, "p", ("y", 2), version(b"shown"))
    assert told(one) == Clock({}, {"y": {2}})
    one.step("a2", row(Clock({"y": 2}), node_id="id of a2"))
    assert one.replica.keyspace.low == one.replica.keyspace.stable == {}
    comes(one, PEAR, CAUSE, version(b"cause"))
    assert shown(one) == b"effect"
    one.step("a2", row(Clock({"y": 2}), node_id="id of a2"))
    assert told(one) == Clock({"x": 1, "y": 2})
    assert one.replica.keyspace.stable == {"y": 2}


def test_what_a_hidden_write_has_replaced_is_hidden_too() -> None:
    """The cause is here and hidden, behind an early write of its key: so its effect is early."""
    one = member()
    other = Token({}, {("z", 1): digest_of("p", True)})
    comes(one, PEAR, ("x", 2), version(b"later", other, at=2))
    item = one.replica.peek(PEAR)
    one.replica.keyspace.take(PEAR, item, (CAUSE,), NOW)  # by repair: replaced already
    early(one)
    assert (shown(one, PEAR), shown(one)) == (None, None)
    comes(one, "p", ("z", 1), version(b"first"))
    assert (shown(one, PEAR), shown(one)) == (b"later", b"effect")


def test_two_that_only_wait_for_each_other_are_shown_together() -> None:
    one = member()
    missing = {("z", 1): digest_of("p", True)}
    deps = {
        PEAR: Token({}, {**missing, ("y", 1): digest_of(PLUM, True)}),
        PLUM: Token({}, {**missing, ("x", 1): digest_of(PEAR, True)}),
    }
    comes(one, PEAR, ("x", 1), version(b"one", deps[PEAR]))
    comes(one, PLUM, ("y", 1), version(b"other", deps[PLUM]))
    assert shown(one, PEAR) is None
    comes(one, "p", ("z", 1), version(b"first"))
    assert (shown(one, PEAR), shown(one)) == (b"one", b"other")


def test_a_whole_clock_that_has_come_ends_all_holds() -> None:
    one = member()
    early(one)
    keyspace = one.replica.keyspace
    absorb(keyspace, page_of_rows({PLUM: keyspace.filled(PLUM)}, "", None, Clock({"y": 9})), NOW)
    assert shown(one) == b"effect"


def test_siblings_are_shown_by_their_own_rule() -> None:
    one = member()
    early(one)
    outcome = one.submit(m.Get(PLUM, m.Mode.SIBLINGS), 9).replies[0][1]
    assert isinstance(outcome, m.Found)
    assert [ask for _, ask in One("a1").submit(m.Get(FIG, m.Mode.SIBLINGS)).asks] == [
        m.Fetch(7, FIG, bound=True)
    ]
