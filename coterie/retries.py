"""The conversation of one call with the nodes, until its deadline.

A write has its Idempotency-Key from the beginning and is sent again with the same bytes, so it is
one write however often it is sent.  After a node that gave no answer, or said 429, 502, 503 or 504,
the next node is asked at once; the same node is asked again when its pause is over.  Every other
refusal ends the call.

A key remembers so many names of writes, and one that is written more often refuses further ones.
Then the write goes once more without its name, and is not repeated if that has no answer.

What an earlier try may have done counts for the last one: a write whose first try had no answer and
whose second is refused is not certainly undone, so its error is not definite.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar
from urllib.parse import urlencode

from coterie.answers import error_in, is_crowded, is_unmet, is_worth_another_try
from coterie.calls import Call
from coterie.errors import CoterieError, Unavailable
from coterie.nodes import Nodes
from coterie.steps import Answer, More, NoAnswer, Opened, Pause, Reading, Send, Steps, Told

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits, and for what; all in seconds.

    `attempt_s`: for one answer of one node; a node is told to answer a moment earlier.
    `doubted_s`: for that of a node that gave the last call none, as long as another can be asked.
    `pause_s`, `pause_s_max`: before the same node is asked again; doubled each time, and shortened
    by chance.  `retry_after_s_max`: the longest pause that a node may ask for.  `silence_s`: for
    the next word of a watch, of which a node says one every 15 seconds.
    """

    attempt_s: float = 5.0
    doubted_s: float = 1.0
    pause_s: float = 0.05
    pause_s_max: float = 1.0
    retry_after_s_max: float = 5.0
    silence_s: float = 40.0


EARLIER_S = 0.25  # before the client gives up, a node answers what it knows
ATTEMPT_S_MIN = 0.02  # with less time left, no node is asked once more


@dataclass(slots=True)
class World:
    """What a conversation has from outside: nodes, time and chance."""

    nodes: Nodes
    clock: Callable[[], float]
    random: Random
    patience: Patience = field(default_factory=Patience)


@dataclass(slots=True)
class Tries:
    """The tries of one call: which node may be asked when, and what is known of the outcome."""

    world: World
    order: list[str]
    is_write: bool
    free_at: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    is_in_doubt: bool = False
    refusal: CoterieError | None = None

    def next_node(self) -> tuple[str, float]:
        """Return the node to ask next, and the instant from which it may be asked."""
        now = self.world.clock()
        url = min(self.order, key=lambda each: max(self.free_at.get(each, now), now))
        return url, max(self.free_at.get(url, now), now)

    def wait_s(self, url: str, deadline: float) -> float:
        """Return how long the answer of this node may take."""
        patience, has_others = self.world.patience, len(self.failures) + 1 < len(self.order)
        is_doubted = url not in self.failures and self.world.nodes.is_doubted(url) and has_others
        left_s = min(patience.attempt_s, deadline - self.world.clock())
        return min(patience.doubted_s, left_s) if is_doubted else left_s

    def had_no_answer(self, url: str, told: NoAnswer, waited_s: float = 0.0) -> None:
        self.world.nodes.has_not_answered(url, waited_s)
        self.is_in_doubt |= self.is_write and told.was_sent
        self._pause(url, 0.0, told.reason)

    def turn(self, deadline: float) -> Steps[str]:
        """Wait for the node that is to be asked next, and return it.

        Raises the error of the call if there is no time for another try.
        """
        url, instant = self.next_node()
        now = self.world.clock()
        if self.reasons and instant + ATTEMPT_S_MIN > deadline:
            raise self.in_the_end()
        if instant > now:
            yield Pause(instant - now)
        return url

    def had_refusal(self, url: str, refusal: CoterieError, retry_after: str) -> None:
        self.world.nodes.has_answered(url)
        self.refusal = refusal
        self.is_in_doubt |= not refusal.definite
        pause_s = float(retry_after) if retry_after.isdecimal() else 0.0
        self._pause(url, min(pause_s, self.world.patience.retry_after_s_max), str(self.refusal))

    def passed_over(self, url: str, answer: Answer) -> None:
        """Go on after the answer of a node that does not do it; raise what no other one may do."""
        error = error_in(answer, is_write=self.is_write)
        if not is_worth_another_try(answer):
            raise self.judged(error)
        self.had_refusal(url, error, answer.headers.get("retry-after", ""))

    def _pause(self, url: str, asked_s: float, reason: str) -> None:
        patience, failures = self.world.patience, self.failures.get(url, 0)
        own_s = min(patience.pause_s_max, patience.pause_s * 2 ** min(failures, 10))
        pause_s = max(asked_s, own_s * self.world.random.uniform(0.5, 1.0))
        self.free_at[url] = self.world.clock() + pause_s
        self.failures[url] = failures + 1
        self.reasons[url] = reason

    def in_the_end(self) -> CoterieError:
        """Return the error of a call that ran out of time: the last refusal, if there was one."""
        if self.refusal is not None:
            return self.judged(self.refusal)
        reasons = "; ".join(f"{url}: {reason}" for url, reason in self.reasons.items())
        return Unavailable(f"no node answered in time: {reasons}", definite=not self.is_in_doubt)

    def judged(self, error: CoterieError) -> CoterieError:
        """Return an error that says what is known after all tries."""
        error.definite = error.definite and not self.is_in_doubt
        return error


def conversation(
    call: Call[T], tokens: tuple[str, ...], deadline: float, world: World
) -> Steps[tuple[Answer, T | CoterieError]]:
    """Ask nodes until one answers for good; return its answer and what it means.

    Raises Unavailable or Unmet when the deadline has passed.
    """
    tries = Tries(world, world.nodes.in_turn(), call.is_write)
    while True:
        url = yield from tries.turn(deadline)
        wait_s, began = tries.wait_s(url, deadline), world.clock()
        told = yield request_of(call, tokens, url, wait_s)
        if isinstance(told, NoAnswer):
            tries.had_no_answer(url, told, world.clock() - began)
        elif (refusal := _passing(call, told := _answer(told))) is None:
            world.nodes.has_answered(url)
            if not (is_crowded(told) and call.drawn_name and not tries.is_in_doubt):
                return told, _meaning(call, told, tries)
            call = call.nameless()
        else:
            tries.had_refusal(url, refusal, told.headers.get("retry-after", ""))
        if tries.is_in_doubt and not call.is_repeatable:
            raise tries.in_the_end()


def rest_of(head: Opened) -> Reading[Answer]:
    """Read an answer that is open to its end, or as far as it comes."""
    body = bytearray()
    while isinstance(part := (yield More()), bytes) and part:
        body += part
    return Answer(head.status, head.headers, bytes(body))


def _answer(told: Told) -> Answer:
    assert isinstance(told, Answer), "a request is told an answer, or that there is none"
    return told


def _passing(call: Call[T], answer: Answer) -> CoterieError | None:
    """Return the refusal of an answer after which another try is worth it."""
    if is_worth_another_try(answer):
        is_final = call.fails_unmet and is_unmet(answer)
        return None if is_final else error_in(answer, is_write=call.is_write)
    return call.lack_in(answer)


def _meaning(call: Call[T], answer: Answer, tries: Tries) -> T | CoterieError:
    try:
        return call.read(answer)
    except CoterieError as error:
        return tries.judged(error)


def request_of(call: Call[T], tokens: tuple[str, ...], url: str, wait_s: float) -> Send:
    """Make the request for one node; the node is told to answer before the client gives up."""
    wait_s = max(wait_s, ATTEMPT_S_MIN)
    node_s = max(wait_s - EARLIER_S, wait_s / 2)
    timed = [("timeout", f"{node_s:.3f}")] if call.is_timed else []
    query = urlencode([*call.query, *timed])
    headers = (*call.headers, *(("Kv-Token", token) for token in tokens))
    return Send(call.method, f"{url}{call.path}?{query}", headers, call.body, wait_s)
