"""What a node shows while it holds a version back, and what it tells the others."""

from node.core.model.actors import actor_of
from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.keys import key_hash_of
from node.core.model.options import Options
from node.core.model.placement import first_view
from node.core.model.token import EXACT_MAX, Token
from node.core.model.view import FIRST
from node.core.protocol import messages as m
from node.core.protocol.operations import Early, Found, Get, Looked, Put
from node.core.replication.sync_pages import absorb
from tests.core.early import (
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
from tests.core.given import page_of_rows, row
from tests.core.one import FIG, NOW, PEAR, One

# ---- what a node has seen


def stored_deps(one: One, key: str = PEAR) -> Token:
    """Return what a write without a token depends on here."""
    one.submit(Put(key, b"mine", after_all=True))
    item = one.replica.peek(key)
    return next(v.deps for v in item.versions.values() if v.value == b"mine")


def test_a_write_without_a_token_depends_on_all_that_is_shown() -> None:
    one = member()
    comes(one, PEAR, CAUSE, version(b"cause"))
    comes(one, "p", ("x", 3), version(b"beyond a gap"))
    deps = stored_deps(one, PLUM)
    assert deps.floor == {"x": 1}
    assert deps.binds(key_hash_of("anything", True))
    assert deps.exact == {("x", 3): key_hash_of("p", True)}


def test_it_does_not_depend_on_what_is_held() -> None:
    one = member()
    early(one)
    comes(one, "p", ("y", 2), version(b"shown"))
    deps = stored_deps(one)
    assert (deps.floor, deps.exact) == ({}, {("y", 2): key_hash_of("p", True)})


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
    assert seen.early == [Early(PLUM, b"effect", ("y", 2), AFTER_CAUSE, missing)]
    assert seen.actors == {
        one.replica.keyspace.actor: "a1",
        actor_of(FIRST, one.replica.node_id): "a1",
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
    return "a1" in one.replica.views.replicas_of(key, 0)


def test_a_node_of_no_shard_shows_nothing() -> None:
    one = One("a1", first_view(["b1", "b2"], 1), options=Options(hold_s=HOLD_S))
    assert looked(one) == Looked({}, {}, {}, None, [])


# ---- what the others are told


def told(one: One) -> DotClock:
    """Return what a comparison with the peers says of our slots."""
    return one.replica.maintenance.anti_entropy.compare("a2", answer=False).summaries[0].clock


def test_what_is_hidden_stays_in_tokens_everywhere() -> None:
    """No node may take it for what all have, and drop it from tokens."""
    one = member()
    early(one)
    comes(one, "p", ("y", 2), version(b"shown"))
    assert told(one) == DotClock({}, {"y": {2}})
    one.step("a2", row(DotClock({"y": 2}), node_id="id of a2"))
    assert one.replica.keyspace.watermarks.shard == one.replica.keyspace.watermarks.cluster == {}
    comes(one, PEAR, CAUSE, version(b"cause"))
    assert shown(one) == b"effect"
    one.step("a2", row(DotClock({"y": 2}), node_id="id of a2"))
    assert told(one) == DotClock({"x": 1, "y": 2})
    assert one.replica.keyspace.watermarks.cluster == {"y": 2}


def test_what_a_hidden_write_has_replaced_is_hidden_too() -> None:
    """The cause is hidden behind an early write of its key, so its effect is early, too."""
    one = member()
    other = Token({}, {("z", 1): key_hash_of("p", True)})
    comes(one, PEAR, ("x", 2), version(b"later", other, at=2))
    item = one.replica.peek(PEAR)
    one.replica.keyspace.take(PEAR, item, (CAUSE,), NOW)  # by repair: replaced already
    early(one)
    assert (shown(one, PEAR), shown(one)) == (None, None)
    comes(one, "p", ("z", 1), version(b"first"))
    assert (shown(one, PEAR), shown(one)) == (b"later", b"effect")


def test_two_that_only_wait_for_each_other_are_shown_together() -> None:
    one = member()
    missing = {("z", 1): key_hash_of("p", True)}
    deps = {
        PEAR: Token({}, {**missing, ("y", 1): key_hash_of(PLUM, True)}),
        PLUM: Token({}, {**missing, ("x", 1): key_hash_of(PEAR, True)}),
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
    absorb(keyspace, page_of_rows({PLUM: keyspace.filled(PLUM)}, "", None, DotClock({"y": 9})), NOW)
    assert shown(one) == b"effect"


def test_siblings_are_shown_by_their_own_rule() -> None:
    one = member()
    early(one)
    outcome = one.submit(Get(PLUM, Mode.SIBLINGS), 9).replies[0][1]
    assert isinstance(outcome, Found)
    assert [ask for _, ask in One("a1").submit(Get(FIG, Mode.SIBLINGS)).asks] == [
        m.Fetch(7, FIG, bound=True)
    ]
