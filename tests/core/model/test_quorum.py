"""A quorum agrees with a naive one, which tries every way in which the members may yet answer."""

from itertools import product

import pytest

from node.core.model.quorum import AVAILABLE, enough, majority, wanted

LEVELS = (AVAILABLE, "one", "quorum", "all", "1", "2", "3", "4", "5")


def dumb_enough(level: str, copies: int, acks: int, awaited: int) -> bool:
    """Say what `available` waits for: the best that can still come, at most a majority."""
    more_than_half = next(n for n in range(copies + 1) if n > copies - n)
    if level == AVAILABLE:
        hoped = max(n for n in range(acks + awaited + 1))
        return acks >= 1 and (acks >= more_than_half or acks == hoped)
    names = {"one": 1, "quorum": more_than_half, "all": copies}
    return acks >= (names[level] if level in names else int(level))


@pytest.mark.parametrize("copies", range(1, 6))
def test_agrees_with_its_dumb_twin(copies: int) -> None:
    compared = 0
    for level, acks, awaited in product(LEVELS, range(copies + 1), range(copies + 1)):
        if acks + awaited <= copies and not (level.isdecimal() and int(level) > copies):
            assert enough(level, copies, acks, awaited) == dumb_enough(level, copies, acks, awaited)
            compared += 1
    assert compared >= 10


@pytest.mark.parametrize("copies", range(1, 10))
def test_two_majorities_meet(copies: int) -> None:
    assert 2 * majority(copies) > copies >= majority(copies)


@pytest.mark.parametrize("level", ["", "0", "4", "-1", "two", "1.5", "ALL", " 1"])
def test_other_levels_are_refused_with_words(level: str) -> None:
    with pytest.raises(ValueError, match="a number from 1 to 3"):
        wanted(level, 3)
