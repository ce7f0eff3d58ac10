"""Small histories of keys of which a read shows one sibling of several."""

from tests.checker_story import Story


def two_siblings() -> tuple[Story, int, int]:
    """Two concurrent writes; a reader who knows of both is to follow."""
    story = Story()
    one = story.put(1, "x", "one")
    two = story.put(2, "x", "two")
    return story, one, two


def test_a_read_of_one_sibling_may_leave_out_the_others() -> None:
    story, one, two = two_siblings()
    story.get(3, "x", "two", mode="latest", parents=(one, two))
    assert story.kinds(by_context=True) == []


def test_a_read_of_one_sibling_shows_none_that_a_known_write_is_after() -> None:
    story = Story()
    story.put(1, "x", "one")
    story.put(1, "x", "two")
    story.get(1, "x", "one", mode="latest")
    assert story.kinds(by_context=True) == ["WriteCORead"]


def test_a_read_of_one_sibling_shows_one_if_there_is_any() -> None:
    story, one, two = two_siblings()
    gone = story.delete(3, "x", context_of=one, parents=(one,))
    story.get(4, "x", mode="latest", parents=(gone, two))
    assert story.kinds(by_context=True) == ["MissingVersion"]


def test_a_read_of_one_sibling_does_not_show_what_was_replaced() -> None:
    story, one, two = two_siblings()
    three = story.put(3, "x", "three", context_of=one, parents=(one,))
    story.get(4, "x", "one", mode="latest", parents=(two, three))
    assert "StaleVersion" in story.kinds(by_context=True)


def test_a_write_that_replaces_what_its_home_holds_explains_what_is_not_after_it() -> None:
    story, one, two = two_siblings()
    swept = story.put(3, "x", "three", mode="latest", parents=())
    story.get(4, "x", "three", parents=(one, two, swept))
    assert story.kinds(by_context=True) == []
    after = story.put(5, "x", "four", parents=(swept,))
    story.get(6, "x", "three", parents=(after,))
    assert story.kinds(by_context=True) == ["MissingVersion"]


def test_a_write_that_replaces_what_its_home_holds_does_not_explain_its_own_absence() -> None:
    story = Story()
    swept = story.put(1, "x", "one", mode="latest")
    story.get(2, "x", parents=(swept,))
    assert story.kinds(by_context=True) == ["MissingVersion"]


def test_a_hidden_version_is_known_by_what_the_recorder_tells() -> None:
    """A write of unknown outcome has replaced one, was hidden, and was replaced by a third."""
    story = Story()
    one = story.put(1, "x", "one")
    story.put(2, "x", "two", status="unknown", dot=None, context_of=one, parents=(one,))
    story.put(3, "x", "three", dot=("n", 3))
    dots = ("n", 9), ("n", 3)
    seen = story.get(4, "x", "three", mode="latest", dots=dots, shown=(("n", 3),), parents=())
    story.put(4, "x", "four", context_of=seen)
    story.get(5, "x", "four", parents=(one, 5))
    names = {("n", 9): "two"}
    assert story.kinds(by_context=True) == ["MissingVersion"]
    assert story.kinds(by_context=True, names=names) == []
