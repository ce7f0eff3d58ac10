"""How soon nodes miss each other, and how long a node leaves a peer alone that is back.

What a node does about a peer that it hears nothing of, and after which time:

    0.5 s   a beat is due (0.2 s without shards)
    1.6 s   requests do not wait for the peer any more: it is not reachable
    2.0 s   the link ends, after four missed beats (0.8 s without shards: before 1.6 s)
    5.0 s   reports and member lists do not count the peer as alive; an unlisted peer gets no more

Where the cluster has no shards, clients look for a write that a node has missed, a second after
the node was cut off for a second: there a link must end, and drop what it had queued, before the
node is back, and repair must not begin while they look.  (docs/decisions/0033.)
"""

from typing import NamedTuple

from node.core.model.view import View


class Pace(NamedTuple):
    """All in seconds."""

    heartbeat_s: float  # between two signs of life
    silence_s: float  # so long without one ends a link
    rest_s: float  # so long a peer whose link is up again is not compared with


SUSPECT_AFTER_S = 1.6  # between three missed beats and the end of a usual link
DEAD_AFTER_S = 5.0  # longer than any link lasts in silence
UNLISTED_S = 5.0  # so long after its last message a node that is in no view of ours gets beats

USUAL = Pace(heartbeat_s=0.5, silence_s=2.0, rest_s=1.0)
UNSHARDED = Pace(heartbeat_s=0.2, silence_s=0.8, rest_s=1.5)


def pace_of(view: View) -> Pace:
    """The pace of the nodes of this view; as usual before there is one."""
    return UNSHARDED if view.unsharded and view.number else USUAL
