"""Both sides of a partition go on, and after it has healed both see what both have written.

A store that always takes writes cannot promise one value while its nodes cannot talk. It promises
that no write is lost: after the heal the replicas compare their clocks, and each gets what it
lacks. Writes that have not seen each other are siblings then.
"""

import sys
from contextlib import suppress

from coterie import Conflict, ReadLevel, Unavailable
from examples.stage.command import tell
from examples.stage.play import Play
from examples.stage.storyteller import Person


def story(play: Play) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol
    ann, ben = play.person("Ann"), play.person("Ben")
    key = play.key("topic")

    play.step("Before the partition all replicas have one version, and Ann and Ben know it.")
    first = ann.put(key, "talk", at=alice, w="all")
    ben.get(key, at=carol)

    play.step(f"The network breaks: {carol} is alone, {alice} and {bob} are together.")
    play.cut_off(carol)

    play.step(
        f"Ann writes at {alice} and reads at {bob}. Two of three replicas have the write, and "
        "she is answered as usual."
    )
    ann.put(key, "talk by Ann", at=alice, context=first.context)
    look(ann, key, at=bob)

    play.step(
        f"Ben writes at {carol}, with the same context. {carol} hears nothing of the others, "
        "waits a moment, and takes the write alone (1/3). Ben's side knows nothing of "
        "Ann's."
    )
    ben.put(key, "talk by Ben", at=carol, context=first.context)
    look(ben, key, at=carol)

    play.step(
        f"Ben may ask for more than {carol} can give: a read with r=quorum is refused, and "
        "not answered with what might be old."
    )
    try:
        look(ben, key, at=carol, r="quorum", timeout=1)
    except Unavailable:
        play.remark("Ben chooses: wait for the network, or work with what this side has.")

    heal(play, ann, ben, key)


def heal(play: Play, ann: Person, ben: Person, key: str) -> None:
    alice, carol = play.alice, play.carol

    play.step(
        "The network heals. After a moment the replicas compare their clocks, and pull what they "
        "lack."
    )
    play.heal()
    play.until_level()

    play.step("Ann and Ben see the same, at different nodes: two siblings.")
    ann_sees, ben_sees = ann.siblings(key, at=alice), ben.siblings(key, at=carol)
    is_same = sorted(ann_sees.values) == sorted(ben_sees.values) == ["talk by Ann", "talk by Ben"]
    play.check(is_same, "both see both values")

    play.step("Ben writes one value with the context of both, and the partition is history.")
    ben.put(key, "talk by Ann and Ben", at=carol, context=ben_sees.context, w="all")
    play.check(ann.get(key, at=alice).value == "talk by Ann and Ben", "one value is left")


def look(
    person: Person, key: str, *, at: str, r: ReadLevel = "one", timeout: float | None = None
) -> None:
    """Read; where the network could not be cut, the node may have both values by now."""
    with suppress(Conflict):
        person.get(key, at=at, r=r, timeout=timeout)


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
