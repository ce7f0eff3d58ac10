"""A tag stands for one set of versions; what conditions make of it."""

from hypothesis import given, strategies as st

from node.core.model.conditions import RefuseWhen
from node.core.model.tags import ANY_VALUE, is_among, tag_of

dots = st.frozensets(st.tuples(st.sampled_from(["a.1", "b.1"]), st.integers(1, 9)), max_size=4)


@given(dots, dots)
def test_equal_sets_have_equal_tags_and_others_have_others(
    one: frozenset[tuple[str, int]], two: frozenset[tuple[str, int]]
) -> None:
    assert (tag_of(one) == tag_of(sorted(two, reverse=True))) == (one == two)


def test_a_key_without_a_value_has_no_tag() -> None:
    assert tag_of(()) == ""
    assert not is_among("", (ANY_VALUE, ""))


def test_if_match_wants_one_of_its_tags() -> None:
    for tags, refused in ((("x", "t"), False), ((ANY_VALUE,), False), (("x",), True), ((), True)):
        assert RefuseWhen(other_than=tags).rejects("t") is refused
        assert RefuseWhen(other_than=tags).rejects("")


def test_if_none_match_wants_none_of_its_tags() -> None:
    for tags, refused in ((("x", "t"), True), ((ANY_VALUE,), True), (("x",), False)):
        assert RefuseWhen(one_of=tags).rejects("t") is refused
        assert not RefuseWhen(one_of=tags).rejects("")
