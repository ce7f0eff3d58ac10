"""What a read answers once its token is covered: the values, the token, the context.

A reader who sees a write also sees what its writer had written before.  `coverage.py` judges
whether a state may be shown at all.  (protocol D9.2, D9.3, D9.11; docs/decisions/0007.)
"""

from node.core.model.actors import Actor
from node.core.model.dots import Vector, covered_by
from node.core.model.item import Item, Past, Version
from node.core.model.token import Token, same_key
from node.core.protocol.operations import Absent, Found, Get, Mode, Outcome
from node.core.requests.coverage import Need

DAMAGED_HERE = "this node's own row of it is damaged and not made whole yet"


def answer(get: Get, need: Need, item: Item, served_by: str) -> Outcome:
    """The outcome of a read whose token is covered."""
    token = token_after_read(get.token, need, item)
    shown = shown_versions(get.mode, item)
    dots = tuple(item.versions)
    context = item.past if get.mode is Mode.SIBLINGS else Past()
    if not shown:
        return Absent(dots, token, context, served_by)
    order = sorted(shown, key=lambda dot: (shown[dot].timestamp, dot), reverse=True)
    values = tuple(shown[dot].value or b"" for dot in order)
    clocks: tuple[Vector, ...] = ()
    if get.mode is Mode.SIBLINGS:
        known = item.clocks()
        clocks = tuple(known[dot] for dot in order)
    return Found(values, tuple(order), dots, token, context, served_by, clocks)


def token_after_read(token: Token, need: Need, item: Item) -> Token:
    """What a reader of this item depends on (rule 3).  It depends on all versions held, shown or
    not, and on all that their writers depended on.  These replace the versions of the key that the
    token named before."""
    if not token and len(item.versions) == 1:
        ((dot, version),) = item.versions.items()
        if not version.deps:
            is_stable = dot[1] <= covered_by(need.cluster_watermark, dot[0])
            exact = {} if is_stable else {dot: need.key_hash}
            timestamp = max(token.timestamp, version.timestamp, version.deps.timestamp)
            alone = Token({}, exact, b"", timestamp, token.view)
            return need.trim(alone)
    mine = {d: tag for d, tag in token.exact.items() if not same_key(tag, need.key_hash)}
    joined = Token(token.floor, mine, token.keys, token.timestamp, token.view)
    timestamp = token.timestamp
    for version in item.versions.values():
        joined = joined.joined(version.deps)
        timestamp = max(timestamp, version.timestamp)
    exact = {
        d: tag
        for d, tag in joined.exact.items()
        if not (same_key(tag, need.key_hash) and item.past.has(d))
    }
    exact.update(dict.fromkeys(item.versions, need.key_hash))
    timestamp = max(timestamp, joined.timestamp)
    return need.trim(Token(joined.floor, exact, joined.keys, timestamp, joined.view))


def shown_versions(mode: Mode, item: Item) -> dict[tuple[Actor, int], Version]:
    """The versions that a reader sees: all siblings, or in lww mode the winner if it has a
    value."""
    if mode is Mode.SIBLINGS:
        return item.shown()
    live, winner = item.live(), item.winner()
    return {winner: live[winner]} if winner in live else {}
