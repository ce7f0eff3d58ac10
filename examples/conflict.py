"""Two people edit one version at the same time, and nothing that they wrote is lost.

A write replaces just what its context has seen. Two writes that have not seen each other are
concurrent: the store keeps both as siblings, and the program that knows what they mean makes one
value of them. Last-write-wins needs no such program, and loses one of the two writes.
"""

import sys

from examples.stage.command import tell
from examples.stage.play import Play


def story(play: Play) -> None:
    alice, bob, carol = play.alice, play.bob, play.carol
    ann, ben = play.person("Ann"), play.person("Ben")
    key = play.key("list")

    play.step("Ann writes a list. The answer has a context: it names this one write.")
    ann.put(key, ["milk"], at=alice, w="all")

    play.step("Ann and Ben read the same version, and get the same context.")
    ann_read = ann.get(key, at=alice)
    ben_read = ben.get(key, at=bob)

    play.step(
        "Both change what they have read. Each sends the context of the read, so each write "
        "replaces the first version, and neither replaces the other."
    )
    ann.put(key, [*ann_read.value, "eggs"], at=alice, context=ann_read.context)
    ben.put(key, [*ben_read.value, "bread"], at=bob, context=ben_read.context, w="all")

    play.step("A read shows both values as siblings (300). Its context has seen both.")
    both = ann.siblings(key, at=carol)
    play.check(len(both.values) == 2, "the list has two siblings")

    play.step("Last-write-wins would take the value with the later time, and forget the other.")
    latest = ben.get(key, at=bob, r="all", resolve="lww")
    play.remark(f"It would take {' and '.join(latest.value)}.")

    play.step("Ann merges the two lists instead, and writes the result with the context of both.")
    merged = sorted(set().union(*both.values))
    ann.put(key, merged, at=carol, context=both.context, w="all")

    play.step("Now there is one value again, and it has what each of the two has added.")
    final = ben.get(key, at=bob, r="quorum")
    play.check(final.value == ["bread", "eggs", "milk"], "the list has all three things")


if __name__ == "__main__":
    sys.exit(tell(str(__doc__), story))
