"""Reads and writes by quorum: how many replicas a request waits for, and what a reader is shown.

With n replicas, a read of r of them meets a write that w of them had on disk if w + r > n. A read
of one replica is fast and may lack the write, unless the client sends the token of the write: then
no node answers with less than the token names.
"""

import sys
from contextlib import suppress

from coterie import Absent
from examples.stage.command import tell
from examples.stage.play import Play
from examples.stage.storyteller import Person


def story(play: Play) -> None:
    ann, ben, key = play.person("Ann"), play.person("Ben"), play.key("note")
    a_token(play, ann, ben, key)
    quorums(play, ann, ben, key)


def a_token(play: Play, ann: Person, ben: Person, key: str) -> None:
    alice, carol = play.alice, play.carol

    play.step(
        "Ann writes a note with w=quorum: two of the three replicas have it on disk when she is "
        "answered."
    )
    wrote = ann.put(key, "hello", at=alice, w="quorum")
    play.check(wrote.acks >= 2, "a quorum has the note")

    play.step(
        "Ben has no token and reads with r=one, at once. One replica is too few to be sure: "
        f"{carol} may not have the note yet.",
        at_once=True,
    )
    try:
        ben.get(key, at=carol, r="one")
    except Absent:
        play.remark(
            f"{carol} has no note yet. Ben is told so, and knows that one replica was read."
        )

    play.step(
        "Ann has a token. She reads with r=one at the same node, which must not answer with less "
        f"than the token names: {carol} waits for the write, and asks the others.",
        at_once=True,
    )
    play.check(ann.get(key, at=carol, r="one").value == "hello", "Ann sees her own write")


def quorums(play: Play, ann: Person, ben: Person, key: str) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol

    play.step(
        "Ann changes the note with w=quorum, and Ben reads with r=quorum, still without her token: "
        "2 + 2 > 3, so at least one replica of the read has the write."
    )
    context = ann.get(key, at=alice).context
    wrote = ann.put(key, "hello, Ben", at=alice, w="quorum", context=context)
    read = ben.get(key, at=carol, r="quorum")
    play.check(read.value == "hello, Ben", "a quorum of reads meets a quorum of writes")

    play.step("With w=all, every later read of one replica has the write: 3 + 1 > 3.")
    wrote = ann.put(key, "bye", at=bob, w="all", context=wrote.context)
    play.check(play.person("Eve").get(key, at=carol, r="one").value == "bye", "all have the note")

    play.step(
        "A delete is a write, too: it replaces what its context has seen, and its mark keeps late "
        "copies of the note from coming back."
    )
    ann.delete(key, at=alice, w="quorum", context=wrote.context)
    with suppress(Absent):
        read = ben.get(key, at=bob, r="quorum")
        play.check(False, f"the note is gone, and not {read.value!r}")


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
