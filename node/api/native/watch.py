"""GET /v1/watch: the changes of a key, or of all keys of a prefix, as server-sent events.

The watch lives at the node that the client asks.  It keeps a clock for each slot, and asks again
and again what the clocks do not cover (`Rounds`); `watch_order` says what may be shown.  An id is
how far it has come, so a client goes on at any node, after any break.  While its client does not
read, a watch asks nothing, and keeps no more than the answers of one round.

If the holders cannot tell what has changed since an id, or it was too much, the watch says `reset`
and goes on from now: its client reads the keys again, with the token of that event.
"""

from collections.abc import Generator, Iterator, Sequence
from itertools import count

import msgspec
from msgspec.structs import replace

from node.api.contract import (
    Call,
    Dialect,
    Feed,
    FeedSteps,
    FeedWords,
    Refused,
    Reply,
    Route,
    Steps,
)
from node.api.native.key_lists import behind
from node.api.native.opaque import token_text
from node.api.native.parameters import check_query, checked_key, timeout_of, token_in
from node.api.native.problems import dialect, malformed, problem
from node.api.native.watch_events import event_of, id_alone, reset_event
from node.api.native.watch_order import Backlog, Shown
from node.api.native.watch_position import Clocks, Position, position_of, position_text
from node.api.repeated_names import all_of
from node.core.model.dots import DotClock
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.model.slots import Slots
from node.core.model.token import Malformed, Token
from node.core.protocol.inspection import Recognize, Recognized
from node.core.protocol.operations import Outcome, Request, Unavailable
from node.core.protocol.watching import ChangesListed, ListChanges, Untraceable
from node.security.scopes import ApiScope

PATH = "/v1/watch"
LAST_ID = "Last-Event-ID"
SHORTEST_S, LONGEST_S = 0.05, 0.5  # between two rounds: longer while nothing comes
HEADS_TRIED = 2  # so often an id is asked about before past runs that are not known are left out
AGAIN_S = 0.2  # before a shard is asked again that has not answered
ANSWER_S = 2.0  # for holders to answer
COMMENT_S = 15.0
CLOCKS_APART_S = 5.0  # between the nodes that gave an id and take it
HELD_BYTES_MAX = 4 * 1024 * 1024  # with more a watch cannot go on
CHUNK_BYTES = 64 * 1024
OF_ANOTHER = "the id is of another cluster, or of one that was begun anew"
OF_OTHERS = "the id is of a watch of other keys"
TOO_MUCH_HELD = "too many changes wait for what they depend on"

Opening = Generator[Sequence[Request] | float, Sequence[Outcome], None]
Asking = Generator[Sequence[Request] | float | FeedWords, Sequence[Outcome], str]


class Range(msgspec.Struct, frozen=True):
    """The keys that are watched: from `start` on and before `end` (empty: to the last)."""

    start: str
    end: str
    slots: Slots | None = None  # that they may lie in; None: all


def watches() -> Dialect:
    """Return the route of watches."""
    return dialect(
        "watch",
        Route("GET", PATH, watch, ApiScope.READ),
    )


def watch(call: Call) -> Reply | Feed:
    check_query(call, ("prefix", "key", "timeout"))
    token_in(call)
    timeout_s, keys, position = timeout_of(call), _range_in(call), _position_in(call)
    if not call.facts().view.shards:
        return problem(call, "unavailable", "this node has not been told its view yet")
    work = _Watch(call, keys, position)
    return Feed(work.open(timeout_s), work.go_on)


def _range_in(call: Call) -> Range:
    if "key" not in call.query:
        prefix = checked_key(call, call.query.get("prefix", ""), "prefix")
        return Range(prefix, behind(prefix))
    if "prefix" in call.query:
        raise malformed(call, "a watch is of a key or of a prefix, not of both")
    key = checked_key(call, call.query["key"])
    if not key:
        raise malformed(call, "the key is empty: it has 1 to 1024 bytes")
    return Range(key, f"{key}\0", 1 << slot_of_key(key))


def _position_in(call: Call) -> Position | None:
    """Return how far the client has come; None: it begins."""
    texts = [text for text in all_of(call.headers, LAST_ID) if text]
    if len(texts) > 1:
        raise malformed(call, f"{LAST_ID} is given more than once")
    try:
        return position_of(texts[0]) if texts else None
    except Malformed as error:
        raise malformed(call, f"{LAST_ID} is malformed: {error}") from error


class _Watch:
    """One watch under way.  `_clocks` say up to where the holder that was asked last has told all;
    `_known` are all writes that some holder has told."""

    def __init__(self, call: Call, keys: Range, position: Position | None) -> None:
        self._call, self._keys = call, keys
        self._clocks, self._known = Clocks(), Clocks()
        self._backlog, self._round = Backlog(), 0
        self._read_at = self._said_at = call.facts().now
        self._turn = int(self._read_at * 1000)
        self._id, self._broken = "", ""
        self._given = position

    # ------------------------------------------------------------------ from here on
    def open(self, timeout_s: float) -> Steps:
        """Go to the head of the answer.  A new watch is told the clocks first, so that its token
        covers all that it will not show."""
        facts = self._call.facts()
        token, deadline = token_in(self._call), facts.now + timeout_s
        if self._given is not None:
            yield from self._resume(self._given, deadline)
        else:
            yield from self._begin(deadline)
            token = token.joined(self._token())
            self._id = self._position()
        headers = {"Kv-Token": token_text(token), "Kv-Served-By": facts.address}
        return Reply(200, b"", headers, "text/event-stream")

    def _begin(self, deadline: float) -> Opening:
        wanted = self._questions(Clocks())
        while wanted := self._unanswered(wanted, (yield wanted)):
            yield from self._wait(deadline, "some shard cannot be reached, and cannot be watched")

    def _resume(self, given: Position, deadline: float) -> Opening:
        """Go on from there, if that can be: from a position of this cluster, in all slots."""
        name, told = Token(name=given.cluster), given.clocks
        clocks = Clocks()
        for tries in count():
            past = [Past(c.base, set(), c.oldest_view) for _, c in told.groups]
            outcomes = yield [Recognize(name, each) for each in past]
            if not any(isinstance(outcome, Unavailable) for outcome in outcomes):
                break
            if tries == HEADS_TRIED:  # of retired views, perhaps: without them it claims less
                told = told.without_heads()
            yield from self._wait(deadline, "this node does not know yet whose id this is")
        for (slots, clock), outcome in zip(told.groups, outcomes, strict=True):
            if isinstance(outcome, Recognized):
                whole = DotClock(outcome.context.base, clock.loose, clock.oldest_view)
                clocks.join(slots, whole)
            else:
                self._broken = OF_ANOTHER
        if not self._broken and any(clock is None for _, _, clock in self._portions(clocks)):
            self._broken = OF_OTHERS
        if not self._broken:
            self._clocks, self._read_at = clocks, given.at - CLOCKS_APART_S
            for slots, clock in clocks.groups:
                self._known.join(slots, clock)

    def _wait(self, deadline: float, why: str) -> Opening:
        """Wait until it is time to ask again; refuse the request when its time is over."""
        if self._now() >= deadline:
            seen = {"Kv-Token": token_text(token_in(self._call))}
            raise Refused(problem(self._call, "unavailable", why, seen))
        yield AGAIN_S

    def go_on(self) -> FeedSteps:
        """Say what changes, for ever."""
        yield self._said(id_alone(self._id), 0)
        pause_s = SHORTEST_S
        while True:
            why = self._broken or (yield from self._next_round())
            if why:
                yield from self._reset(why)
            shown = list(self._backlog.ready(self._known, self._round))
            if shown:
                yield from self._show(shown)
            elif self._now() - self._said_at >= COMMENT_S:
                self._id = self._position()
                yield self._said(b": \n" + id_alone(self._id), 0)
            is_busy = shown or len(self._backlog)
            pause_s = SHORTEST_S if is_busy else min(LONGEST_S, pause_s * 1.5)
            yield pause_s

    def _now(self) -> float:
        return self._call.facts().now

    def _said(self, text: bytes, events: int) -> FeedWords:
        self._said_at = self._now()
        return FeedWords(text, events)

    # ------------------------------------------------------------------ rounds
    def _portions(self, clocks: Clocks) -> Iterator[tuple[str, Slots, DotClock | None]]:
        """The slots that are watched, by shards and by clocks."""
        view = self._call.facts().view
        for place, shard in enumerate(view.shards):
            slots = view.slots_of_shard(place)
            if self._keys.slots is not None:
                slots &= self._keys.slots
            for part, clock in clocks.within(slots):
                yield shard.id, part, clock

    def _questions(self, clocks: Clocks) -> list[ListChanges]:
        keys, age_s = self._keys, max(0.0, self._now() - self._read_at)
        return [
            ListChanges(slots, keys.start, keys.end, clock, age_s, ANSWER_S, self._turn)
            for _, slots, clock in self._portions(clocks)
        ]

    def _unanswered(
        self, asked: Sequence[ListChanges], outcomes: Sequence[Outcome]
    ) -> list[ListChanges]:
        """Take the answers; return the questions that have none, or one that breaks the watch."""
        left = []
        for question, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, ChangesListed):
                self._clocks.replace(question.slots, outcome.read)
                for slots, clock in outcome.read:
                    self._known.join(slots, clock)
                self._backlog.add(outcome.changes, outcome.items, outcome.sizes, self._round)
            elif isinstance(outcome, Untraceable):
                self._broken = outcome.reason
            else:
                left.append(question)
        return left

    def _next_round(self) -> Asking:
        """Ask all shards; return why the watch cannot go on, or nothing."""
        self._round += 1
        begun = self._now()
        wanted = self._questions(self._clocks)
        while wanted and not self._broken:
            wanted = self._unanswered(wanted, (yield wanted))
            if self._backlog.bytes > HELD_BYTES_MAX:
                self._broken = TOO_MUCH_HELD
            if wanted and not self._broken:
                yield AGAIN_S
                if self._now() - self._said_at >= COMMENT_S:
                    yield self._said(b": a shard cannot be reached\n\n", 0)
        self._read_at = begun
        return self._broken

    def _reset(self, why: str) -> FeedSteps:
        """Go on from now, and say so."""
        self._broken, self._clocks, self._backlog = "", Clocks(), Backlog()
        wanted = self._questions(self._clocks)
        while wanted:
            begun = self._now()
            wanted = self._unanswered(wanted, (yield wanted))
            if wanted:
                yield AGAIN_S
                if begun - self._said_at >= COMMENT_S:
                    yield self._said(b": a shard cannot be reached\n\n", 0)
        self._read_at = self._now()
        self._id = self._position()
        yield self._said(reset_event(self._id, why, token_text(self._token())), 1)

    # ------------------------------------------------------------------ what is said
    def _token(self) -> Token:
        facts = self._call.facts()
        return replace(self._clocks.token, view=facts.view.id, name=facts.cluster)

    def _position(self) -> str:
        """How far the client has come with all that was shown."""
        told = self._clocks.without(self._backlog.dots)
        facts = self._call.facts()
        return position_text(Position(told, facts.cluster, self._read_at), facts.packed)

    def _show(self, shown: Sequence[Shown]) -> Generator[FeedWords, Sequence[Outcome], None]:
        """Say these.  Only the last one has the new id: a client that breaks off before is
        shown some again."""
        before, self._id = self._id, self._position()
        facts, text, events = self._call.facts(), bytearray(), 0
        for number, each in enumerate(shown, 1):
            text += event_of(each, self._id if number == len(shown) else before, facts)
            events += 1
            if len(text) >= CHUNK_BYTES or number == len(shown):
                yield self._said(bytes(text), events)
                text, events = bytearray(), 0
