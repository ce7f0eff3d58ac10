"""Identities that an origin draws for the writes which it gives to other nodes.

A home that falls silent may have named the write.  With an identity the origin may give it to
another home: two names of it are one write wherever they meet.  Nodes need the name of a replaced
write only while a second name may come.  So the origin says, with each write that it gives away,
which of its earlier ones are *settled*: it has asked one home alone and will ask no other.

Example: the origin has drawn 1 to 5.  It waits for 4 and 5, and has given 2 to a second home:

    Settled("Xk3f9ab7Q_x2", below=4, besides=(2,))      1 and 3 are settled

(protocol D12; docs/decisions/0049.)
"""

import msgspec

MARK = "~"  # begins a drawn identity, and none of a client's
# Clocks of nodes may be so far apart.  An origin that is gone settles nothing, so a name of its
# writes goes by its age; not before that is certain by every clock.
APART_MS = 86_400_000


class Settled(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Which identities of this run of an origin are settled: those below this number, `besides` the
    given ones."""

    run: str
    below: int
    besides: tuple[int, ...] = ()

    def has(self, number: int) -> bool:
        return number < self.below and number not in self.besides


def identity_of(run: str, number: int) -> str:
    """What a run of an origin calls the write that it has given this number."""
    return f"{MARK}{run}:{number}"


def is_drawn(identity: str) -> bool:
    """Whether an origin has drawn this identity; the others are of clients."""
    return identity.startswith(MARK)


def apart_ms(identity: str) -> int:
    """How much older than another one a name of this identity has to be, before it goes by age."""
    return APART_MS if is_drawn(identity) else 0


def run_and_number(identity: str) -> tuple[str, int]:
    """What `identity_of` was given.  ValueError if this is no drawn identity."""
    run, _, number = identity.removeprefix(MARK).partition(":")
    return run, int(number)
