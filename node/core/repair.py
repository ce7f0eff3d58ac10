"""Repair inside a shard: what each member has, what everybody has, and the pull under way.

Members send each other their clocks (`Compare`). From these rows come the minimum that prunes
logs and tokens, the gaps of ended lives that may be closed, and the decision to pull. A dot
that is just on its way is not missing: a pull starts only if it is still lacking a moment
later. One exchange at a time; its state is here, the fellow that serves it keeps none.
(protocol D5, D6, D7.)
"""

from dataclasses import dataclass, field

from node.core.clock import Actor, Clock, Vector, lowest
from node.core.messages import Compare, Page, Pull
from node.core.token import COUNT_MAX

GRACE_S = 0.3  # a dot lacking for less is taken to be on its way
PAGE_PATIENCE_S = 1.0  # then the same page is asked for again, TRIES_MAX times
TRIES_MAX = 5
SETTLED_AFTER_LINK_UP_S = 1.0  # a reconnected peer is left alone for a moment
GENESIS_WAIT_S = 2.0


@dataclass(slots=True)
class Recovery:
    """How far this run of the node has come back: `arrived` holds what its address ever held,
    `level_with` names the fellows whose clocks it has covered since it started."""

    arrived: bool
    caught_up: bool = False
    level_with: set[str] = field(default_factory=set)

    @property
    def over(self) -> bool:
        return self.arrived and self.caught_up


@dataclass(slots=True)
class Exchange:
    """One pull: its fellow, its number, its snapshot and cursor."""

    fellow: str
    number: int
    asked: float
    snapshot: Clock | None = None
    after: str | None = None
    tries: int = 0


def closable(mine: Clock, rows: list[Clock], actor: Actor) -> bool:
    """Whether nobody has a dot of this ended life that another lacks: its gaps are for ever."""
    return all(row.entry(actor) == mine.entry(actor) for row in rows)


class Repair:
    """What one member knows of its fellows' clocks."""

    def __init__(self, address: str, members: tuple[str, ...]) -> None:
        self.fellows = tuple(m for m in members if m != address)
        self.rows: dict[str, Compare] = {}  # of the fellows' present lives
        self.closed: dict[Actor, None] = {}  # ended lives whose gaps were filled here
        self.exchange: Exchange | None = None
        self._lacking_since: dict[str, float] = {}
        self._numbers = 0
        self.pulled_items = 0

    # ---- rows
    def learn(self, source: str, row: Compare, mine: Clock, now: float) -> bool:
        """Take a fellow's row; False for one that is older than what is known: a row of one life
        never goes back."""
        known = self.rows.get(source)
        if known is not None and (row.clock.lacks(known.clock) or known.arrived > row.arrived):
            return False
        self.rows[source] = row
        if mine.lacks(row.clock):
            self._lacking_since.setdefault(source, now)
        else:
            self._lacking_since.pop(source, None)
        return True

    def forget(self, fellow: str) -> None:
        """Another life lives there now: its row begins empty, and it never served our exchange."""
        if self.exchange is not None and self.exchange.fellow == fellow:
            self.exchange = None
        self.rows.pop(fellow, None)
        self._lacking_since.pop(fellow, None)

    def complete(self) -> bool:
        """Whether every fellow has a row."""
        return len(self.rows) == len(self.fellows)

    def low(self, mine: Clock) -> Vector:
        """What every member durably has; nothing while a row is missing."""
        if not self.complete():
            return {}
        return lowest([mine.base, *(row.clock.base for row in self.rows.values())])

    def frontier(self, mine: Clock) -> Vector:
        """How far each actor is known to have written, by any row."""
        clocks = [mine, *(row.clock for row in self.rows.values())]
        actors = {actor for clock in clocks for actor in (*clock.base, *clock.loose)}
        return {actor: max(clock.highest(actor) for clock in clocks) for actor in actors}

    def to_close(self, mine: Clock, ended: list[Actor]) -> list[Actor]:
        """Ended lives whose gaps may be filled now."""
        return [a for a in ended if a not in self.closed and self._may_close(mine, a)]

    def _may_close(self, mine: Clock, actor: Actor) -> bool:
        """All members refuse this life and are equal in it, or a fellow has found that before."""
        rows = list(self.rows.values())
        if any(actor in r.closed and r.clock.entry(actor)[0] == mine.highest(actor) for r in rows):
            return True
        all_refuse = self.complete() and all(actor in row.ended for row in rows)
        return all_refuse and closable(mine, [row.clock for row in rows], actor)

    def beyond(self, mine: Clock, ended: list[Actor]) -> Vector:
        """Ended lives that are closed everywhere: whatever a token says of them is had or lost."""
        rows = list(self.rows.values())
        return {
            actor: COUNT_MAX
            for actor in ended
            if self.complete()
            and actor in self.closed
            and all(actor in row.closed for row in rows)
            and all(row.clock.entry(actor) == mine.entry(actor) for row in rows)
        }

    # ---- the pull
    def next_pull(
        self, node_id: str, mine: Clock, able: list[str], state: Recovery, now: float
    ) -> tuple[str, Pull] | None:
        """The next page to ask for: of the exchange under way, or of a new one."""
        exchange = self.exchange
        if exchange is not None and now - exchange.asked < PAGE_PATIENCE_S:
            return None
        if exchange is not None and exchange.fellow in able and exchange.tries < TRIES_MAX:
            exchange.asked = now
            exchange.tries += 1
            again = Pull(exchange.number, node_id, mine, exchange.snapshot, exchange.after)
            return exchange.fellow, again
        fellow = self._whom(mine, able, state, now)
        if fellow is None:
            self.exchange = None
            return None
        self._numbers += 1
        self.exchange = Exchange(fellow, self._numbers, now)
        return fellow, Pull(self._numbers, node_id, mine)

    def _whom(self, mine: Clock, able: list[str], state: Recovery, now: float) -> str | None:
        """While arriving, any fellow that has arrived; then one that has had for a while what we
        lack, the longest first."""
        if not state.arrived:
            return next((f for f in able if f in self.rows and self.rows[f].arrived), None)
        grace = GRACE_S if state.caught_up else 0.0
        due = [
            f
            for f in able
            if f in self._lacking_since
            and now - self._lacking_since[f] >= grace
            and mine.lacks(self.rows[f].clock)
        ]
        return min(due, key=lambda f: self._lacking_since[f], default=None)

    def expects(self, source: str, page: Page) -> bool:
        """Whether this page is the one asked for: late and doubled ones are not."""
        e = self.exchange
        return (
            e is not None
            and (e.fellow, e.number) == (source, page.exchange)
            and (not page.full or (page.after or None) == e.after)
        )

    def on_page(self, page: Page, node_id: str, mine: Clock, now: float) -> Pull | None:
        """The page has been merged: the next one to ask for; None when it was the last."""
        exchange = self.exchange
        assert exchange is not None
        exchange.asked = now
        exchange.tries = 0
        exchange.snapshot = page.snapshot
        exchange.after = page.upto if page.full else None
        self.pulled_items += len(page.items)
        if page.last:
            self._lacking_since.pop(exchange.fellow, None)
            self.exchange = None
            return None
        return Pull(exchange.number, node_id, mine, page.snapshot, exchange.after)
