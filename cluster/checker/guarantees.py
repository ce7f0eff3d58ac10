"""Which session guarantee a stale read broke: the name of the shortest chain that it ignored.

Read your writes, monotonic reads, monotonic writes and writes follow reads are all special cases of
causal order (Terry et al., PDIS 1994); a longer chain is called transitive.
"""

from collections.abc import Iterator

from cluster.checker.causal_order import CausalOrder, members
from cluster.checker.history import Operation


def guarantee(order: CausalOrder, read: int, ignored: int) -> str:
    """Name the guarantee a read broke by not accounting for a write in its causal past."""
    reader, write = order.operations[read], order.operations[ignored]
    if write.session == reader.session:
        return "read your writes"
    seen = [each for earlier in _session(order, read, reader) for each in order.seen(earlier).held]
    if any(_reaches(order, ignored, each) for each in seen if each.key == reader.key):
        return "monotonic reads"
    seen += order.seen(reader).held
    followers = [each for each in seen if _reaches(order, ignored, each)]
    if any(each.session == write.session for each in followers):
        return "monotonic writes"
    for each in followers:
        at = order.position[each.id]
        if any(write in order.seen(earlier).held for earlier in _session(order, at, each)):
            return "writes follow reads"
    return "transitive"


def _session(order: CausalOrder, at: int, operation: Operation) -> Iterator[Operation]:
    """Yield what the operation's own session had done before it."""
    for earlier in members(order.past[at]):
        if order.operations[earlier].session == operation.session:
            yield order.operations[earlier]


def _reaches(order: CausalOrder, write: int, seen: Operation) -> bool:
    at = order.position[seen.id]
    return at == write or order.before(write, at)
