"""Every story is told as its text says; `python -m tests.explanations --rewrite` accepts."""

import pytest

from tests.explanations.stories import HERE, STORIES, told


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_told_as_its_text_says(name: str) -> None:
    assert told(STORIES[name]) == (HERE / f"{name}.txt").read_text()


def test_each_text_is_of_a_story() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(STORIES)
