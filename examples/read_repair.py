"""A replica that has missed a write is brought up to date by a read (read repair).

Messages get lost, and a write that two of three replicas have is done. The third one lags until
something tells it. A read of several replicas joins their states, answers with the join, and sends
the join to each replica that lacks a part of it. Comparisons in the background find the rest.
"""

import sys

from examples.stage.command import tell
from examples.stage.play import Play


def story(play: Play) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol
    ann, ben = play.person("Ann"), play.person("Ben")
    key = play.key("price")

    play.step("All replicas have the first price.")
    first = ann.put(key, 10, at=alice, w="all")
    play.until_level()

    play.step(
        f"Ann raises the price while {carol} is cut off for a moment. The write is done with "
        f"two of three disks, and the message to {carol} is lost."
    )
    play.cut_off(carol)
    ann.put(key, 12, at=alice, w="quorum", context=first.context)
    play.heal()

    play.step(
        f"The network is whole again, but {carol} does not know that something is missing. "
        "Ben reads that one replica, and may be shown the old price.",
        at_once=True,
    )
    ben.get(key, at=carol, r="one")

    play.step(
        f"Ben reads two replicas at {bob}. The answer is the join of their states. The third "
        "state comes later: it lacks the write, so it is sent (ReadRepair)."
    )
    play.check(ben.get(key, at=bob, r="quorum").value == 12, "a quorum knows the new price")

    play.step(
        f"Now {carol} has the new price, and a read of that one replica shows it. After such "
        "an answer a node asks the other replicas now and then, and repairs them in the same "
        "way."
    )
    play.check(ben.get(key, at=carol, r="one").value == 12, f"{carol} has been repaired")


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
