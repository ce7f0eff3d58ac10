"""GET /v1/keys: the keys of all shards in their order, page by page.

The slots are cut into portions, so that no node works long at one of them.  Each portion gives its
keys in their order, some at a time.  This module merges them: it takes the first key of all once
each portion has given its next one, or has no more.  A cursor is a key, so nodes keep nothing from
one page to the next, and a view change between two pages does no harm.

Keys can be grouped up to a delimiter behind the prefix.  A group without a count is stepped over; a
count looks at each key of its group.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from math import isqrt
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from node.api.contract import Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.native.answers import refusal_of
from node.api.native.opaque import token_text
from node.api.native.parameters import (
    BOOLEANS,
    check_query,
    checked_key,
    choice_of,
    timeout_of,
    token_in,
)
from node.api.native.problems import dialect, malformed, problem
from node.core.model.conditions import Mode
from node.core.model.slots import Slots
from node.core.model.token import EXACT_MAX, Token
from node.core.model.view import View
from node.core.protocol.operations import (
    Absent,
    Get,
    KeysListed,
    ListKeys,
    Outcome,
    Rejected,
    Request,
    Unmet,
)
from node.security.scopes import ApiScope

PATH = "/v1/keys"
PARAMETERS = frozenset({"prefix", "after", "limit", "delimiter", "counts", "timeout"})
LIMIT_MAX = 1000  # keys and groups of one answer
COUNTED_MAX = 100_000  # keys that one answer looks at; a group that has more goes on in the next
PORTION_SLOTS = 512
READ_AT_ONCE = 32
LAST_CHARACTER, SURROGATES = "\U0010ffff", (0xD800, 0xE000)
SHORTEST_S = 0.05  # what is left to a question whose request's time is nearly over

Asking = Generator[Sequence[Request] | float, Sequence[Outcome], None]


def key_lists() -> Dialect:
    """Return the route of the list of keys."""
    return dialect(
        "keys",
        Route("GET", PATH, list_keys, ApiScope.READ),
    )


class Wanted(msgspec.Struct, frozen=True):
    """What a client wants to have listed; its time is over at `deadline`."""

    call: Call
    prefix: str
    after: str
    limit: int
    delimiter: str
    counts: bool
    token: Token
    deadline: float

    @property
    def left_s(self) -> float:
        """How many seconds are left."""
        return self.deadline - self.call.facts().now

    @property
    def start(self) -> str:
        """The first key that may be listed."""
        start = f"{self.after}\0" if self.after else ""
        if not self.counts and (group := self.group_of(self.after)):
            start = behind(group)
        return max(start, self.prefix)

    def group_of(self, key: str) -> str:
        """The group of a key: up to the first delimiter behind the prefix; empty if it is in no
        group."""
        if not self.delimiter or not key.startswith(self.prefix):
            return ""
        end = key.find(self.delimiter, len(self.prefix))
        return key[: end + len(self.delimiter)] if end >= 0 else ""


def behind(prefix: str) -> str:
    """Return the first text behind all that begin so; empty: there is none."""
    stem = prefix.rstrip(LAST_CHARACTER)
    if not stem:
        return ""
    following = ord(stem[-1]) + 1
    if following == SURROGATES[0]:
        following = SURROGATES[1]
    return stem[:-1] + chr(following)


def list_keys(call: Call) -> Reply | Talk:
    check_query(call, PARAMETERS)
    facts, query = call.facts(), call.query
    wanted = Wanted(
        call,
        checked_key(call, query.get("prefix", ""), "prefix"),
        checked_key(call, query.get("after", ""), "after"),
        _limit_in(call),
        checked_key(call, query.get("delimiter", ""), "delimiter"),
        choice_of(call, "counts", BOOLEANS, "false") == "true",
        token_in(call),
        facts.now + timeout_of(call),
    )
    if wanted.counts and not wanted.delimiter:
        raise malformed(call, "counts=true counts the keys of groups: give a delimiter, such as /")
    if not facts.view.shards:
        return problem(call, "unavailable", "this node has not been told its view yet")
    return Talk(_Page(wanted, facts.view).steps())


def _limit_in(call: Call) -> int:
    text = call.query.get("limit", str(LIMIT_MAX))
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 4):
        raise malformed(call, f"limit is {text!r}; expected a number from 1 to {LIMIT_MAX}")
    if not 1 <= int(text) <= LIMIT_MAX:
        raise malformed(call, f"limit is {text!r}; expected a number from 1 to {LIMIT_MAX}")
    return int(text)


class _Portion(msgspec.Struct):
    """Some slots of a shard: their next keys, and from where on more are asked for."""

    shard: str
    slots: int
    start: str
    keys: deque[str] = msgspec.field(default_factory=deque)
    is_over: bool = False

    def step_over(self, start: str) -> None:
        """Go on from this key."""
        if not start:
            self.is_over = True
        self.start = max(self.start, start)
        while self.keys and (not start or self.keys[0] < start):
            self.keys.popleft()


def portions_of(view: View, start: str) -> list[_Portion]:
    """Return the slots of all shards in portions."""
    return [
        _Portion(shard.id, part, start)
        for place, shard in enumerate(view.shards)
        for part in in_portions(view.slots_of_shard(place), PORTION_SLOTS)
    ]


def in_portions(slots: Slots, size: int) -> Iterator[Slots]:
    """Yield these slots in portions of at most so many."""
    some, at = (1 << size) - 1, 0
    while slots >> at:
        if part := slots & some << at:
            yield part
        at += size


class _Page:
    """One answer on its way: the keys and groups found so far."""

    def __init__(self, wanted: Wanted, view: View) -> None:
        self._wanted, self._token = wanted, wanted.token
        self._portions = portions_of(view, wanted.start)
        share = wanted.limit // len(self._portions)
        self._quota = share + 2 * isqrt(share) + 8  # nearly always enough, as keys are spread
        self._keys: list[str] = []
        self._groups: dict[str, int] = {}
        self._unanswered: dict[str, None] = {}
        self._last, self._looked_at, self._left_s = "", 0, SHORTEST_S

    def steps(self) -> Steps:
        """Go to the answer."""
        has_more = False
        while not has_more:
            yield from self._feed()
            portion = min(
                (each for each in self._portions if each.keys),
                key=lambda each: each.keys[0],
                default=None,
            )
            if portion is None:
                break
            has_more = not self._take(portion)
        return self._reply(has_more)

    def _feed(self) -> Asking:
        """Ask until every portion has its next key, or no more."""
        while hungry := [each for each in self._portions if not each.keys and not each.is_over]:
            self._left_s = self._wanted.left_s
            outcomes = yield [self._question(each) for each in hungry]
            for portion, outcome in zip(hungry, outcomes, strict=True):
                yield from self._add(portion, outcome)

    def _question(self, portion: _Portion) -> ListKeys:
        token, timeout_s = self._wanted.token, max(self._left_s, SHORTEST_S)
        end = behind(self._wanted.prefix)
        return ListKeys(portion.slots, portion.start, end, self._quota, token, timeout_s)

    def _add(self, portion: _Portion, outcome: Outcome) -> Asking:
        """Take what a portion has said."""
        call = self._wanted.call
        if isinstance(outcome, Unmet | Rejected):
            raise Refused(refusal_of(call, self._wanted.token, outcome))
        if not isinstance(outcome, KeysListed):
            self._unanswered[portion.shard] = None
            portion.is_over = True
            return
        self._token = self._token.joined(outcome.token).within(EXACT_MAX)
        keys = outcome.keys
        if not outcome.certain:
            keys = yield from self._certain(keys)
        portion.keys.extend(keys)
        portion.start, portion.is_over = outcome.upto, not outcome.upto

    def _certain(
        self, keys: list[str]
    ) -> Generator[Sequence[Request], Sequence[Outcome], list[str]]:
        """Read the keys, and return those that have a value, or that no replica tells of now."""
        found: list[str] = []
        for at in range(0, len(keys), READ_AT_ONCE):
            some = keys[at : at + READ_AT_ONCE]
            token, left_s = self._wanted.token, max(self._wanted.left_s, SHORTEST_S)
            get = Get("", Mode.SIBLINGS, token, wait_s=left_s, timeout_s=left_s, raw=True)
            outcomes = yield [replace(get, key=key) for key in some]
            pairs = zip(some, outcomes, strict=True)
            found += [key for key, outcome in pairs if not isinstance(outcome, Absent)]
        return found

    def _take(self, portion: _Portion) -> bool:
        """List the first key of a portion, or its group; whether there was room for it."""
        wanted, key = self._wanted, portion.keys[0]
        group = wanted.group_of(key)
        is_full = len(self._keys) + len(self._groups) >= wanted.limit
        is_late = self._looked_at >= COUNTED_MAX or self._left_s <= 0
        if self._looked_at and (is_late or (is_full and group not in self._groups)):
            return False
        self._looked_at += 1
        self._last = portion.keys.popleft()
        if not group:
            self._keys.append(key)
        else:
            self._groups[group] = self._groups.get(group, 0) + 1
        if group and not wanted.counts:
            for each in self._portions:
                each.step_over(behind(group))
        return True

    def _reply(self, has_more: bool) -> Reply:
        wanted, call = self._wanted, self._wanted.call
        if len(self._unanswered) == len({each.shard for each in self._portions}):
            words = "no shard answered"
            return problem(call, "unavailable", words, {"Kv-Token": token_text(wanted.token)})
        said: dict[str, Any] = {"keys": self._keys}
        if wanted.delimiter:
            said["groups"] = [
                {"prefix": group, "count": count} if wanted.counts else {"prefix": group}
                for group, count in self._groups.items()
            ]
        said["next"] = self._last if has_more else None
        said["complete"] = not self._unanswered
        if self._unanswered:
            said["unanswered"] = list(self._unanswered)
        headers = {"Kv-Token": token_text(self._token), "Kv-Served-By": call.facts().address}
        return Reply(200, orjson.dumps(said), headers)
