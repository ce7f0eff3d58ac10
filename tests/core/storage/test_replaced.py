"""What has left items of late: replaced versions while they are watched, and deletes always."""

from node.core.model.item import Item, Version
from node.core.model.options import Options
from node.core.protocol.step import Step
from node.core.storage.replaced import OVERHEAD_BYTES, WATCHED_S, Replaced

ONE, MARK = Version(b"1"), Version(None)


def gone(replaced: Replaced, n: int, version: Version) -> None:
    replaced.note("k", Item({("a", n): version, ("z", 1): ONE}), Item({("z", 1): ONE}))


def test_replaced_versions_are_kept_while_some_watch_asks() -> None:
    step = Step()
    replaced = Replaced(step, Options())
    step.begin(100.0)
    gone(replaced, 1, ONE)
    replaced.be_watched()
    gone(replaced, 2, ONE)
    step.begin(100.0 + WATCHED_S)
    gone(replaced, 3, ONE)
    assert list(replaced) == [("a", 2)]
    assert replaced.get(("a", 2)) == ("k", ONE, 0)
    assert replaced.get(("a", 3)) is None


def test_they_are_bounded() -> None:
    step = Step()
    replaced = Replaced(step, Options(replaced_bytes_max=2 * (OVERHEAD_BYTES + 2)))
    replaced.be_watched()
    for n in (1, 2, 3):
        gone(replaced, n, ONE)
    assert list(replaced) == [("a", 2), ("a", 3)]


def test_deletes_are_always_kept_and_it_says_for_how_long() -> None:
    step = Step()
    replaced = Replaced(step, Options(gone_marks_max=2))
    assert replaced.kept_s == 0.0
    step.begin(100.0)
    replaced.begin()
    for n, at in ((1, 101.0), (2, 102.0), (3, 110.0)):
        step.begin(at)
        gone(replaced, n, MARK)
    replaced.begin()
    assert replaced.get(("a", 3)) == ("k", MARK, 0)
    assert replaced.get(("a", 1)) is None
    assert replaced.kept_s == 9.0  # that of 101.0 is gone
