"""Small histories, one for each promise: the run that breaks it, and the nearest legal one."""

from typing import Any

import pytest

from cluster.checker.check import check
from cluster.checker.history import Mode
from tests.checker_story import Story


def test_what_was_read_cannot_depend_on_the_reader() -> None:
    story = Story()
    story.get(1, "x", "two")
    story.put(1, "y", "one")
    story.get(2, "y", "one")
    story.put(2, "x", "two")
    assert "CyclicCO" in story.kinds()


def test_a_read_may_follow_a_write_that_was_recorded_later() -> None:
    story = Story()
    story.get(1, "x", "one")
    story.put(2, "x", "one")
    assert story.kinds() == []


def test_values_come_from_a_write_of_the_same_key() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.get(2, "x", "nobody's")
    story.get(3, "y", "one")
    assert story.kinds() == ["ThinAirRead", "ThinAirRead"]


def test_a_mark_needs_a_delete() -> None:
    story = Story()
    story.get(1, "x", dots=(("n", 9),), marks=(("n", 9),))
    assert story.kinds() == ["ThinAirRead"]


@pytest.mark.parametrize(("status", "kinds"), [("fail", ["AbortedRead"]), ("unknown", [])])
def test_a_refused_write_is_never_seen_but_an_unknown_one_may_be(
    status: str, kinds: list[str]
) -> None:
    story = Story()
    story.put(1, "x", "one", status=status, dot=None)
    story.get(2, "x", "one")
    story.get(3, "x")
    assert story.kinds() == kinds


def test_an_unknown_write_binds_its_session_to_nothing() -> None:
    story = Story()
    story.put(1, "x", "one", status="unknown", dot=None)
    story.get(1, "x")
    assert story.kinds() == []


def test_a_value_is_shown_once() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.get(2, "x", "one", "one")
    assert story.kinds() == ["DuplicateWrite"]


def test_a_dot_names_one_write() -> None:
    story = Story()
    story.put(1, "x", "one", dot=("n", 1))
    story.put(2, "y", "two", dot=("n", 1))
    assert story.kinds() == ["DotReuse"]


def test_a_dot_seen_with_another_value_is_used_twice() -> None:
    story = Story()
    story.put(1, "x", "one", dot=("n", 1))
    story.put(2, "x", "two", dot=None, status="unknown")
    story.get(3, "x", "two", shown=(("n", 1),), dots=(("n", 1),))
    assert "DotReuse" in story.kinds()


def test_a_dot_is_no_put_and_a_delete_at_once() -> None:
    story = Story()
    story.put(1, "x", "one", dot=("n", 1))
    story.delete(1, "x", dot=("n", 2))
    story.get(2, "x", dots=(("n", 1),), marks=(("n", 1),))
    assert "DotReuse" in story.kinds()


def test_a_register_written_before_is_not_absent() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.get(1, "x")
    story.get(2, "x")
    violations = check(story.history)
    assert [each.kind for each in violations] == ["WriteCOInitRead"]
    assert "read your writes" in violations[0].text


def test_a_delete_whose_mark_is_erased_explains_absence() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.delete(2, "x")
    story.get(1, "x")
    assert story.kinds() == []


def test_a_delete_explains_nothing_that_was_written_after_it() -> None:
    story = Story("lww")
    delete = story.delete(1, "x")
    story.put(1, "x", "one")
    story.get(1, "x")
    assert story.kinds() == ["WriteCOInitRead"]
    story.get(1, "x", dots=(story.dot(delete),), marks=(story.dot(delete),))
    assert "WriteCORead" in story.kinds()


def test_a_delete_that_follows_the_read_explains_nothing() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.get(1, "x")
    story.delete(1, "x")
    assert story.kinds() == ["WriteCOInitRead"]


def test_a_delete_answered_absent_is_a_read() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.delete(1, "x", dot=None)
    assert story.kinds() == ["WriteCOInitRead"]


def test_a_register_never_shows_what_was_overwritten() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.put(1, "x", "two")
    story.put(1, "y", "signal")
    story.get(2, "x", "one")
    story.get(2, "y", "signal")
    assert story.kinds() == []
    story.get(2, "x", "one")
    assert story.kinds() == ["WriteCORead"]


def test_a_concurrent_winner_is_legal_and_flip_flop_is_not() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.put(2, "x", "two")
    story.get(1, "x", "two")
    assert story.kinds() == []
    story.get(1, "x", "one")
    assert story.kinds() == ["CyclicCF"]


def test_two_keys_need_one_arbitration() -> None:
    story = Story("lww")
    for session, key, other in ((1, "x", "y"), (2, "y", "x")):
        story.put(session, key, f"{key} of {session}")
        story.put(session, other, f"{other} of {session}")
    story.get(1, "x", "x of 1", parents=(2, 4))
    assert story.kinds() == []
    story.get(2, "y", "y of 2", parents=(2, 4))
    assert story.kinds() == ["CyclicCF"]


def test_siblings_stay_until_a_context_covers_them() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.put(2, "x", "two")
    story.get(1, "x", "two", parents=(1, 2))
    assert story.kinds() == ["MissingVersion"]
    story = Story()
    story.put(1, "x", "one")
    story.put(2, "x", "two")
    both = story.get(1, "x", "one", "two", parents=(1, 2))
    story.put(1, "x", "three", context_of=both)
    story.get(1, "x", "three")
    assert story.kinds(by_context=True) == []


def test_a_blind_put_replaces_nothing() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.put(1, "x", "two")
    story.get(1, "x", "one", "two")
    assert story.kinds(by_context=True) == []
    story.get(1, "x", "two")
    assert story.kinds() == []
    assert story.kinds(by_context=True) == ["MissingVersion"]


def test_what_a_known_write_replaced_is_not_shown() -> None:
    story = Story()
    one = story.put(1, "x", "one")
    story.get(2, "x", "one")
    two = story.put(1, "x", "two", context_of=one)
    story.put(1, "x", "three", context_of=two)
    story.get(2, "x", "one")
    assert story.kinds() == []
    story.get(1, "x", "one", "three")
    assert story.kinds() == ["StaleVersion"]


@pytest.mark.parametrize(
    ("lines", "guarantee"),
    [
        ([("put", 1, "x", "one"), ("get", 1, "x")], "read your writes"),
        ([("put", 2, "x", "one"), ("get", 1, "x", "one"), ("get", 1, "x")], "monotonic reads"),
        (
            [("put", 2, "x", "one"), ("put", 2, "y", "two"), ("get", 1, "y", "two")],
            "monotonic writes",
        ),
        (
            [
                ("put", 2, "x", "one"),
                ("get", 3, "x", "one"),
                ("put", 3, "y", "two"),
                ("get", 1, "y", "two"),
            ],
            "writes follow reads",
        ),
        (
            [
                ("put", 2, "x", "one"),
                ("put", 2, "z", "signal"),
                ("get", 3, "z", "signal"),
                ("put", 3, "y", "two"),
                ("get", 1, "y", "two"),
            ],
            "transitive",
        ),
    ],
)
def test_the_broken_guarantee_is_named(lines: list[tuple[Any, ...]], guarantee: str) -> None:
    story = Story()
    for kind, *rest in lines:
        getattr(story, kind)(*rest)
    if lines[-1] != ("get", 1, "x"):
        story.get(1, "x")
    violations = check(story.history)
    assert [each.kind for each in violations] == ["MissingVersion"]
    assert violations[0].text.endswith(guarantee)


def test_replicas_agree_at_rest() -> None:
    story = Story()
    story.put(1, "x", "one", status="unknown", dot=None)
    assert story.ends(("one",), ("one",)) == []
    assert story.ends((), ()) == []
    assert story.ends(("one",), ()) == ["Diverged"]


def test_a_replica_holds_only_what_was_written() -> None:
    story = Story()
    story.put(1, "x", "one", status="fail", dot=None)
    assert story.ends(("one",)) == ["ThinAirFinal"]
    assert story.ends(("two",)) == ["ThinAirFinal"]


@pytest.mark.parametrize("mode", ["lww", "siblings"])
def test_an_acknowledged_write_is_not_lost(mode: Mode) -> None:
    story = Story(mode)
    story.put(1, "x", "one")
    assert story.ends(("one",)) == []
    assert story.ends(()) == ["LostWrite"]
    assert story.ends((), excused=lambda operation: operation.value == "one") == []
    story.delete(1, "x", context_of=1)
    assert story.ends(()) == []
    assert "Resurrected" in story.ends(("one",))


def test_an_observed_write_is_not_lost() -> None:
    story = Story()
    story.put(1, "x", "one", status="unknown", dot=None)
    story.get(2, "x", "one")
    assert story.ends(()) == ["LostWrite"]


def test_a_register_may_lose_to_a_concurrent_write_only() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.put(2, "x", "two")
    assert story.ends(("one",)) == []
    story.put(1, "x", "three", parents=(1, 2))
    assert story.ends(("three",)) == []
    assert sorted(story.ends(("two",))) == ["LostWrite", "Resurrected"]


def test_what_an_excused_write_replaced_may_come_back() -> None:
    story = Story()
    one = story.put(1, "x", "one")
    story.put(1, "x", "two", context_of=one)
    story.get(1, "x", "one")
    assert "Resurrected" in story.ends(("one",))
    assert story.ends(("one",), excused=lambda operation: operation.value == "two") == []


def test_values_are_unique() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.put(2, "y", "one")
    with pytest.raises(ValueError, match="value of its own"):
        story.kinds()


def test_the_report_is_bounded() -> None:
    story = Story()
    for _ in range(40):
        story.get(1, "x", "nobody's")
    assert len(story.kinds()) == 25
