"""A node answers a read exactly when the state covers what its token needs of key or shard."""

import pytest
from msgspec.structs import replace

from node.core.model.conditions import Mode, Scope
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.token import Token
from node.core.model.view import FIRST, ViewId
from node.core.model.write_name import WriteName
from node.core.protocol.operations import Absent, Found, Get
from node.core.requests.coverage import Need
from node.core.requests.read_answer import answer, shown_versions
from tests.core.given import stamp

PEAR, PLUM = key_hash_of("pear", True), key_hash_of("plum", False)
ALL_KEYS = b"\xff" * 64


def need(**options: object) -> Need:
    stable = options.get("stable", {})
    assert isinstance(stable, dict)
    here = options.get("plum_is_here", True)
    return Need(
        key_hash=PEAR,
        same_shard=lambda tag: tag == PEAR or bool(here),
        elsewhere=lambda actor: actor == "far",
        here=lambda dot, tag: (dot, tag) == (("c", 1), PLUM),
        cluster_watermark=stable,
        view=FIRST,
        trim=lambda token: token.trimmed(stable),
        spell=lambda token: token,
        seen=lambda item, now_ms: item.past,
    )


def lacking(token: Token, scope: Scope, past: Past | None = None, **options: object) -> set[str]:
    clock = DotClock({"a": 9}, {"b": {3}})
    return set(need(**options).of(token, scope, past or Past(), clock))


KEY, SHARD = Scope.KEY, Scope.SHARD


def test_an_exact_dot_of_the_key_needs_its_past() -> None:
    token = Token({}, {("a", 2): PEAR, ("b", 3): PEAR ^ 1})
    assert lacking(token, KEY) == {"a", "b"}  # the clock is not asked
    assert lacking(token, KEY, Past({"a": 2}, {("b", 3)})) == set()
    assert lacking(token, KEY, Past({"a": 1})) == {"a", "b"}
    assert lacking(token, KEY, stable={"a": 2, "b": 3}) == set()


def test_dots_of_other_keys_bind_the_shard_only() -> None:
    token = Token({}, {("a", 2): PLUM, ("b", 4): PLUM})
    assert lacking(token, KEY) == set()
    assert lacking(token, SHARD) == {"b"}
    assert lacking(token, SHARD, plum_is_here=False) == set()
    assert lacking(Token({}, {("c", 1): PLUM}), SHARD) == set()  # its own slot has it here
    assert lacking(Token({}, {("c", 2): PLUM}), SHARD) == {"c"}


def test_floors_bind_the_keys_of_the_filter_in_their_own_shard() -> None:
    token = Token({"a": 2, "far": 5}, {}, ALL_KEYS)
    assert lacking(token, KEY) == {"a"}
    assert lacking(token, KEY, Past({"a": 2})) == set()
    assert lacking(token, KEY, Past({}, {("a", 1), ("a", 2)})) == {"a"}  # floors by the vector
    assert lacking(token, KEY, stable={"a": 2}) == set()
    assert lacking(Token({"a": 2}, {}, b"\0" * 64), KEY) == set()
    assert lacking(Token({"a": 2}, {}, b"\0" * 64), SHARD) == {"a"}


def test_what_is_missing_says_have_and_need() -> None:
    token = Token({"c": 7}, {("b", 4): PEAR}, ALL_KEYS)
    missing = need().of(token, KEY, Past({"c": 3}), DotClock({"b": 2}))
    assert missing == {"b": (2, 4), "c": (3, 7)}


def test_siblings_are_shown_with_their_own_past_of_the_key() -> None:
    deps = Token({}, {("b", 1): PEAR, ("c", 1): PLUM})
    item = Item({("a", 1): Version(b"v", deps)}, Past({"a": 1}))
    clock = DotClock()
    assert need().to_show(Get("pear", Mode.LWW), item, clock) == {}
    assert need().to_show(Get("pear", Mode.SIBLINGS), item, clock) == {"b": (0, 1)}
    covered = Item(item.versions, Past({"a": 1, "b": 1}))
    assert need().to_show(Get("pear", Mode.SIBLINGS), covered, clock) == {}


def test_a_token_of_a_newer_view_is_not_judged_here() -> None:
    """A client that has met a view may depend on what only that view's owners have (D10 R6)."""
    get = Get("pear", token=Token(view=ViewId(3, "p")))
    item = Item({("a", 1): Version(b"v")}, Past({"a": 1}))
    assert need().to_show(get, item, DotClock({"a": 9})) == {"view.3.p": (1, 3)}
    assert need().to_show(Get("pear", token=Token(view=FIRST)), item, DotClock()) == {}


def test_floors_below_the_floor_of_a_past_are_covered() -> None:
    token = Token({"a": 9, "b.2.p": 1}, {("c", 3): PEAR}, ALL_KEYS)
    assert lacking(token, KEY, Past(oldest_view=ViewId(2, "p"))) == {"b.2.p"}
    assert lacking(token, KEY, Past(oldest_view=ViewId(3, "p"))) == set()


RED, GREEN = Version(b"red", timestamp=stamp(1)), Version(b"green", timestamp=stamp(2))
GONE = Version(None, timestamp=stamp(3))
LWW_GONE = Version(None, timestamp=stamp(3), lww=True)
LWW_RED = Version(b"red", timestamp=stamp(1), lww=True)


@pytest.mark.parametrize(
    ("mode", "versions", "shown"),
    [
        (Mode.LWW, {}, set()),
        (Mode.LWW, {("a", 1): RED, ("b", 1): GREEN}, {("b", 1)}),
        (Mode.LWW, {("a", 1): LWW_RED, ("b", 1): LWW_GONE}, set()),
        (Mode.LWW, {("a", 1): LWW_RED, ("b", 1): GONE}, {("a", 1)}),
        (Mode.LWW, {("a", 1): RED, ("b", 1): LWW_GONE}, {("a", 1)}),
        (Mode.LWW, {("a", 1): RED, ("b", 1): GONE, ("c", 1): GREEN}, {("c", 1)}),
        (Mode.SIBLINGS, {("a", 1): RED, ("b", 1): GREEN}, {("a", 1), ("b", 1)}),
        (Mode.SIBLINGS, {("a", 1): RED, ("b", 1): GONE}, {("a", 1)}),
    ],
)
def test_what_is_shown(mode: Mode, versions: dict[Dot, Version], shown: set[Dot]) -> None:
    assert shown_versions(mode, Item(versions)).keys() == shown


def test_an_answer_names_all_versions_and_joins_what_they_depend_on() -> None:
    deps = Token({}, {("z", 4): PLUM}, b"", stamp(9))
    item = Item(
        {("a", 1): RED, ("b", 1): Version(b"green", deps, stamp(2))}, Past({"a": 1, "b": 1})
    )
    mine = Token({}, {("a", 0): PEAR, ("y", 2): PLUM}, b"", stamp(5))
    found = answer(Get("pear", Mode.SIBLINGS, mine), need(stable={"y": 2}), item, "n1")
    assert isinstance(found, Found)
    assert found.values == (b"green", b"red")
    assert found.shown == (("b", 1), ("a", 1))
    assert set(found.dots) == {("a", 1), ("b", 1)}
    assert found.token.exact == {("z", 4): PLUM, ("a", 1): PEAR, ("b", 1): PEAR}
    assert found.token.timestamp == stamp(9)
    assert found.context == item.past
    assert found.served_by == "n1"


def test_absent_names_the_mark_that_explains_it() -> None:
    item = Item({("a", 1): LWW_RED, ("b", 1): LWW_GONE})
    absent = answer(Get("pear"), need(), item, "n1")
    assert isinstance(absent, Absent)
    assert set(absent.dots) == absent.token.exact.keys() == {("a", 1), ("b", 1)}
    assert absent.token.timestamp == stamp(3)


def test_a_key_of_which_nothing_is_known_adds_nothing() -> None:
    token = Token({}, {("y", 2): PLUM, ("a", 1): PEAR})
    absent = answer(Get("pear", token=token), need(), Item(), "n1")
    assert absent == Absent((), Token({}, {("y", 2): PLUM}), Past(), "n1")


FIRST_NAME = ("e", 7)  # another home gave it to the write of LATE_NAME
AFTER = Version(b"after", Token({}, {FIRST_NAME: PEAR}), stamp(4))
LATE_NAME = Version(b"before", timestamp=stamp(5), identity="i")
TWO = Item({("a", 1): AFTER, ("b", 1): LATE_NAME}, Past({"a": 1, "b": 1}, {FIRST_NAME}))


def test_what_may_be_replaced_under_another_name_is_not_shown() -> None:
    found = answer(Get("pear"), need(), TWO, "n1")
    assert isinstance(found, Found)
    assert found.values == (b"after",)
    assert ("b", 1) not in found.token.exact  # the next read does not depend on it


@pytest.mark.parametrize(
    ("other", "past", "token"),
    [
        (replace(LATE_NAME, deps=Token({}, {}, b"", stamp(4))), TWO.past, Token()),  # it came later
        (LATE_NAME, TWO.past, Token({}, {("z", 1): PEAR})),  # it may have replaced what was seen
        (LATE_NAME, TWO.past, Token({"b": 1}, {}, ALL_KEYS)),
        (replace(LATE_NAME, identity=""), TWO.past, Token()),  # it has one name
        (LATE_NAME, TWO.past, Token({}, {("b", 1): PEAR})),  # the reader depends on it
        (LATE_NAME, TWO.past.naming({"j": WriteName(FIRST_NAME, stamp(3))}), Token()),  # another's
    ],
)
def test_what_has_another_name_or_is_known_is_shown(
    other: Version, past: Past, token: Token
) -> None:
    item = Item({**TWO.versions, ("b", 1): other}, past)
    found = answer(Get("pear", token=token), need(), item, "n1")
    assert isinstance(found, Found)
    assert found.values == (b"before",)


def test_siblings_are_all_shown() -> None:
    found = answer(Get("pear", Mode.SIBLINGS), need(), TWO, "n1")
    assert isinstance(found, Found)
    assert found.values == (b"before", b"after")


# K, ("a", 3), was written by a client that had seen ("c", 1), which is not here.  That may be H,
# ("b", 1), under another name.
HAD_SEEN = Token({}, {("c", 1): PEAR}, timestamp=stamp(2))
IN_DOUBT = Item(
    {
        ("a", 3): Version(b"K", HAD_SEEN, stamp(3)),
        ("b", 1): Version(b"H", Token(), stamp(4), identity="of H"),
    },
    Past({"a": 2}, {("c", 1)}),
)


@pytest.mark.parametrize(
    ("seen", "shown", "told"),
    [
        ((), b"K", {("a", 3)}),
        ((("c", 1),), b"K", {("a", 3)}),  # K's writer had seen it
        ((("a", 2),), b"K", {("a", 3)}),  # K's home had named it before
        ((("a", 3),), b"K", {("a", 3)}),
        ((("a", 3), ("d", 1)), b"K", {("a", 3)}),
        ((("b", 1),), b"H", {("b", 1)}),
        ((("d", 1),), b"H", {("b", 1)}),  # this may be later than K, and not later than H
        ((("a", 3), ("b", 1)), b"H", {("a", 3), ("b", 1)}),
    ],
)
def test_of_two_whose_order_is_in_doubt_a_reader_is_told_one(
    seen: tuple[Dot, ...], shown: bytes, told: set[Dot]
) -> None:
    token = Token({}, dict.fromkeys(seen, PEAR))
    found = answer(Get("pear", Mode.LWW, token), need(), IN_DOUBT, "n1")
    assert isinstance(found, Found)
    assert (found.values, set(found.dots)) == ((shown,), told)


def test_a_floor_names_what_it_covers() -> None:
    found = answer(Get("pear", Mode.LWW, Token({"b": 1}, {}, ALL_KEYS)), need(), IN_DOUBT, "n1")
    assert isinstance(found, Found)
    assert found.dots == (("b", 1),)


def test_what_was_written_after_the_other_is_in_no_doubt() -> None:
    after_k = Token({}, {("a", 3): PEAR}, timestamp=stamp(3))
    versions = {**IN_DOUBT.versions, ("b", 1): Version(b"H", after_k, stamp(4), identity="of H")}
    found = answer(Get("pear"), need(), Item(versions, IN_DOUBT.past), "n1")
    assert isinstance(found, Found)
    assert (found.values, set(found.dots)) == ((b"H",), {("a", 3), ("b", 1)})
