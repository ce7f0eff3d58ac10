"""A write that two homes have named is one write: it shows once, and is replaced as a whole."""

from itertools import permutations

from hypothesis import given, strategies as st

from node.core.model.dots import Dot
from node.core.model.drawn_identity import APART_MS, identity_of
from node.core.model.item import Item, Past, Version, discard, namings_of, sync, without
from node.core.model.write_name import WriteName
from tests.core.given import all_dots, pasts, stamp

IDENTITIES = {1: "w", 2: "x", 3: ""}  # by the number of a dot: a1, b1 and c1 are one write


def version(dot: Dot) -> Version:
    identity = IDENTITIES.get(dot[1], "")
    value = identity or f"{dot[0]}{dot[1]}"
    return Version(value.encode(), timestamp=stamp("abc".index(dot[0])), identity=identity)


@st.composite
def items(draw: st.DrawFn) -> Item:
    """Draw a filled item; its past may have the names of writes that it has replaced, too."""
    past = draw(pasts)
    candidates = sorted(all_dots(past.base) | past.loose)
    live = draw(st.lists(st.sampled_from(candidates), max_size=4)) if candidates else []
    versions = {dot: version(dot) for dot in live}
    more = draw(st.lists(st.sampled_from(candidates), max_size=2)) if candidates else []
    named = more if draw(st.booleans()) else (*more, *live)  # a drawn identity has no name at first
    past = past.naming(namings_of({dot: version(dot) for dot in named}))
    gone = past.namings.keys() - {each.identity for each in versions.values()}
    return Item(versions, past.replacing(gone))


def certain(item: Item) -> set[str]:
    """Return the identities of writes that are certainly replaced."""
    return {identity for identity, naming in item.past.namings.items() if naming.certain}


def writes(item: Item) -> set[str]:
    return {version.identity for version in item.versions.values() if version.identity}


@given(items(), items(), items())
def test_states_join_in_any_order(one: Item, two: Item, three: Item) -> None:
    states = (one, two, three)
    results = [sync(sync(a, b), c) for a, b, c in permutations(states)]
    assert all(result == results[0] for result in results)
    assert sync(one, sync(two, three)) == results[0]
    assert sync(results[0], one) == results[0]


@given(items(), items())
def test_what_one_state_has_replaced_stays_replaced(one: Item, two: Item) -> None:
    both = sync(one, two)
    assert not writes(both) & (certain(one) | certain(two))
    assert one.past.namings.keys() | two.past.namings.keys() <= both.past.namings.keys()
    gone = [v for each in (one, two) for d, v in each.versions.items() if d not in both.versions]
    assert not writes(both) & {version.identity for version in gone if version.identity}


@given(items(), items())
def test_a_join_drops_nothing_but_what_was_seen(one: Item, two: Item) -> None:
    """A version goes only if the other state has seen its dot, or has replaced its write."""
    both = sync(one, two)
    for mine, theirs in ((one, two), (two, one)):
        for dot, each in mine.versions.items():
            seen = theirs.past.has(dot) and dot not in theirs.versions
            covered = {
                version.identity
                for other, version in (*mine.versions.items(), *theirs.versions.items())
                if other not in both.versions
            }
            if dot not in both.versions:
                assert seen or each.identity in certain(theirs) | covered - {""}


@given(items(), pasts)
def test_a_context_covers_both_twins(item: Item, context: Past) -> None:
    rest = discard(item, context)
    replaced = {v.identity for d, v in item.versions.items() if context.has(d)} - {""}
    assert not writes(rest) & replaced
    assert rest.versions.keys() == {
        d for d, v in item.versions.items() if not context.has(d) and v.identity not in replaced
    }
    assert replaced <= certain(rest)


def test_a_context_names_a_write_that_its_home_knows_by_another_dot() -> None:
    seen = Past({}, {("a", 1)}).naming({"w": WriteName(("a", 1), stamp(1))})
    item = Item({("b", 1): version(("b", 1))}, Past({"b": 1}))
    assert not discard(item, seen).versions
    assert discard(item, Past({}, {("a", 1)})).versions


def test_twins_are_shown_once_as_they_were_named_first() -> None:
    twins = {dot: version(dot) for dot in (("b", 1), ("a", 1), ("c", 3))}
    item = Item(twins, Past({"a": 1, "b": 1, "c": 3}))
    assert item.shown().keys() == {("a", 1), ("c", 3)}
    assert item.winner() == ("c", 3)
    assert Item({d: v for d, v in twins.items() if d[1] == 1}, item.past).winner() == ("a", 1)


def test_names_of_replaced_writes_are_forgotten_with_time() -> None:
    live, gone = version(("a", 1)), version(("a", 2))
    past = Past({"a": 2}).naming(namings_of({("a", 1): live, ("a", 2): gone}))
    item = Item({("a", 1): live}, past)
    assert item.remembering(0.0) is item
    assert item.remembering(10.0**15).past.namings.keys() == {"w"}
    alone = Item({}, Past().naming(past.namings))
    assert alone.is_only_remembered()
    assert not alone.past
    assert alone.remembering(10.0**15).is_empty()


def test_a_drawn_name_is_kept_for_a_day_longer() -> None:
    """The clock of the node that gave it may be behind by as much."""
    drawn = WriteName(("a", 1), (1_000, 0, "a"))
    item = Item({}, Past().naming({identity_of("run", 1): drawn, "w": drawn}))
    assert item.remembering(2_000).past.namings == {identity_of("run", 1): drawn}
    assert item.remembering(1_000 + APART_MS).past.namings == {identity_of("run", 1): drawn}
    assert item.remembering(1_001 + APART_MS).is_empty()


# ---- writes that replace each other


Homes = dict[str, Item]
STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["w", "x", "y", "z", "from b", "from c"])),
    min_size=1,
    max_size=12,
)


def told(homes: Homes, home: str, what: str, number: int) -> None:
    """A home is sent a write with an identity, by a client that has seen nothing, or merges what
    another home has."""
    item = homes[home]
    if what.startswith("from "):
        homes[home] = sync(item, homes[what.removeprefix("from ")])
    elif what not in item.past.namings:
        dot = home, number
        named = Version(what.encode(), timestamp=stamp(number), lww=True, identity=what)
        rest = without(item, item.versions, item.past, what)
        homes[home] = rest.with_version(dot, named, replaced=bool(item.versions))


@given(STEPS)
def test_of_writes_that_replace_each_other_one_stays_and_it_is_the_same_everywhere(
    steps: list[tuple[str, str]],
) -> None:
    homes = {home: Item() for home in "abc"}
    for number, (home, what) in enumerate(steps, 1):
        told(homes, home, what, number)
    joins = [sync(sync(one, two), three) for one, two, three in permutations(homes.values())]
    shown = [{version.identity for version in each.shown().values()} for each in joins]
    assert shown == shown[:1] * len(shown)
    assert bool(shown[0]) == any(item.versions for item in homes.values())
    assert sync(joins[0], joins[-1]) == joins[0]


def test_the_write_with_the_later_first_name_stays() -> None:
    homes = {home: Item() for home in "ab"}
    steps = [("a", "w"), ("a", "x"), ("b", "x"), ("b", "w")]
    for number, (home, what) in enumerate(steps, 1):
        told(homes, home, what, number)
    both = sync(homes["a"], homes["b"])
    assert [version.identity for version in both.shown().values()] == ["x"]
    assert both.is_live()
    assert both.winner() == ("a", 2)


def test_the_names_that_tell_what_stays_are_not_forgotten() -> None:
    """z has replaced x at c, x had replaced y, and y has replaced z at b: y stays."""
    homes = {home: Item() for home in "bc"}
    steps = [("b", "z"), ("b", "y"), ("c", "y"), ("c", "x"), ("c", "z")]
    for number, (home, what) in enumerate(steps, 1):
        told(homes, home, what, number)
    both = sync(homes["b"], homes["c"])
    later = both.remembering(10.0**15)
    for item in (both, later):
        assert [version.identity for version in item.shown().values()] == ["y"]
