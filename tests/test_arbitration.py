"""Reads show one order of the writes, or a cycle."""

from tests.checker_story import Story


def test_a_concurrent_winner_is_legal_and_flip_flop_is_not() -> None:
    story = Story("lww")
    story.put(1, "x", "one")
    story.put(2, "x", "two")
    story.get(1, "x", "two")
    assert story.kinds() == []
    story.get(1, "x", "one")
    assert story.kinds() == ["CyclicCF"]


def test_a_write_that_was_sent_again_may_stand_in_two_places() -> None:
    story = Story("lww")
    story.put(1, "x", "one", repeated=True)
    story.put(2, "x", "two")
    story.get(1, "x", "two")
    story.get(1, "x", "one")
    assert story.kinds() == []
    story.put(3, "x", "three")
    story.get(1, "x", "three")
    story.get(1, "x", "two")
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
