"""A counter by hand: read, add, write; no addition is lost, and none counts twice.

One number cannot be merged: of the siblings 7 and 8 a reader cannot tell what was added. So each
writer has a number of its own, that only grows; a merge takes the larger one of each writer, and
the total is the sum. A write whose answer was lost is sent again under its Idempotency-Key: it is
still one write, and makes no sibling.
"""

import sys

from coterie.values import Value, Written
from examples.stage.command import tell
from examples.stage.play import Play
from examples.stage.storyteller import Person

Counter = dict[str, int]  # what each writer has added so far


def story(play: Play) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol
    ann, ben = play.person("Ann"), play.person("Ben")
    key = play.key("visits")

    play.step('The counter begins with nothing. The context "none" says: I have seen nothing.')
    ann.put(key, {}, at=alice, context="none", w="all")

    play.step("Ann reads, adds 5 to her own number, and writes over just what she has read.")
    read = ann.get(key, at=alice)
    add(ann, key, read, 5, at=alice, name="ann-1")

    play.step("Say that the answer was lost. Meanwhile Ben has read the counter, and adds 3.")
    add(ben, key, ben.get(key, at=bob, r="quorum"), 3, at=bob, name="ben-1")

    play.step(
        "Ann does not know whether her write was done. She sends the same request again, to "
        "another node. That knows its name: the others confirm that they have the write, and "
        "nothing changes."
    )
    add(ann, key, read, 5, at=carol, name="ann-1")

    play.step("Now both add at the same time: both have read the same version.")
    ann_read, ben_read = ann.get(key, at=alice, r="all"), ben.get(key, at=bob, r="all")
    add(ann, key, ann_read, 2, at=alice, name="ann-2")
    add(ben, key, ben_read, 1, at=bob, name="ben-2")

    play.step("The next reader finds two siblings, and merges them writer by writer.")
    both = ann.siblings(key, at=carol)
    ann.put(key, merged(both.values), at=carol, context=both.context, w="all")

    play.step("All four additions are there, each of them once: 5 + 3 + 2 + 1 = 11.")
    total = sum(ben.get(key, at=bob).value.values())
    play.remark(f"The total: {total}.")
    play.check(total == 11, "the total is 11")


def add(person: Person, key: str, read: Value, more: int, *, at: str, name: str) -> Written:
    """Write the counter that was read, with more of this person's, over just what was read."""
    counter: Counter = {**read.value, person.name: read.value.get(person.name, 0) + more}
    return person.put(key, counter, at=at, context=read.context, idempotency_key=name)


def merged(counters: list[Counter]) -> Counter:
    """Return the larger number of each writer."""
    writers = sorted({writer for each in counters for writer in each})
    return {name: max(each.get(name, 0) for each in counters) for name in writers}


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
