"""GET /v1/export: all that the cluster holds, line by line, shard by shard.

The node first asks all nodes what they have, and reads everything with that token: so every write
that was acknowledged before the export began is in it, or what has replaced it.  Each key is listed
and read once, at one replica that has what the token names.  Values that are written meanwhile are
in it or not, key by key.  At the end the node asks all nodes once more: if none has anything new,
the export is `unchanged`, and shows the cluster as it was at one moment.

The slots are those that the shards had at the beginning, so an export goes on through a change of
the view.  The node holds one page of keys, and the values that it reads at once; it reads on when
the client has read them.  An export without a last line that says `done`, or with a `problem` in
that line, is broken off.
"""

from collections.abc import Generator, Sequence

import orjson
from msgspec.structs import replace

from node.api.access import must_have
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
from node.api.native.answers import refusal_of
from node.api.native.export_lines import FORMAT, KINDS, line_of, lines_of
from node.api.native.key_lists import in_portions
from node.api.native.opaque import token_text
from node.api.native.parameters import BOOLEANS, check_query, choice_of, timeout_of
from node.api.native.policies import shown_policy
from node.api.native.problems import dialect, problem
from node.core.model.conditions import Mode
from node.core.model.dots import DotClock
from node.core.model.keys import FIRST_OF_ALL, is_plain
from node.core.model.slots import Slots
from node.core.model.token import EXACT_MAX, Token
from node.core.protocol.inspection import ClocksJoined, JoinClocks
from node.core.protocol.operations import (
    Absent,
    Found,
    Get,
    KeysListed,
    ListKeys,
    Outcome,
    Request,
)
from node.security.scopes import ApiScope

PATH = "/v1/export"
NDJSON = "application/x-ndjson"
PORTION_SLOTS = 64  # are listed at once: few enough that a page looks for its keys in few places
PAGE_KEYS = 512
READS_MAX, READS_FIRST = 256, 8  # at once: values may be large
READ_BYTES_MAX = 1024 * 1024  # of the lines of reads at once: with more, fewer are read at once
AGAIN_S = 0.2  # before nodes are asked again that cannot be reached

Asking = Generator[Sequence[Request] | float, Sequence[Outcome], None]
Saying = Generator[Sequence[Request] | float | FeedWords, Sequence[Outcome], None]


def exports() -> Dialect:
    """Return the route of exports."""
    return dialect(
        "export",
        Route("GET", PATH, export, ApiScope.ADMIN),
    )


def export(call: Call) -> Reply | Feed:
    must_have(call, ApiScope.READ)
    check_query(call, ("partial", "timeout"))
    is_partial = choice_of(call, "partial", BOOLEANS, "false") == "true"
    timeout_s = timeout_of(call)
    if not call.facts().view.shards:
        return problem(call, "unavailable", "this node has not been told its view yet")
    work = _Export(call, timeout_s, is_partial)
    return Feed(work.open(), work.go_on, is_watch=False)


def _clock_of(token: Token) -> DotClock:
    """Return all that a token depends on."""
    clock = DotClock(dict(token.floor))
    for dot in sorted(token.exact):
        clock.add(dot)
    return clock


class _Export:
    """One export under way: `_token` is what it covers, and `_seen` what it has shown."""

    def __init__(self, call: Call, timeout_s: float, is_partial: bool) -> None:
        self._call, self._timeout_s, self._is_partial = call, timeout_s, is_partial
        facts = call.facts()
        self._began, self._view = facts.now, facts.view
        self._token = self._seen = Token()
        self._unreached: tuple[str, ...] = ()
        self._counts = dict.fromkeys(("keys", *KINDS), 0)
        self._reads_at_once = READS_FIRST

    # ------------------------------------------------------------------ the head
    def open(self) -> Steps:
        """Learn what all nodes have, and whether every shard can be reached."""
        yield from self._join_clocks()
        self._view = view = self._call.facts().view
        shards = [view.slots_of_shard(place) for place in range(len(view.shards))]
        outcomes = yield [self._list(slots, FIRST_OF_ALL, 1) for slots in shards]
        for shard, outcome in zip(view.shards, outcomes, strict=True):
            if not isinstance(outcome, KeysListed):
                refusal = orjson.loads(refusal_of(self._call, Token(), outcome).body)
                words = f"shard {shard.id} cannot be exported: {refusal['detail']}"
                raise Refused(problem(self._call, "unavailable", words))
        headers = {"Kv-Served-By": self._call.facts().address}
        return Reply(200, b"", headers, NDJSON)

    def _join_clocks(self) -> Asking:
        """Ask all nodes what they have, until they have all told it, or the time is over."""
        deadline = self._began + self._timeout_s
        while True:
            left_s = deadline - self._call.facts().now
            (outcome,) = yield (JoinClocks(max(left_s, AGAIN_S)),)
            if not isinstance(outcome, ClocksJoined):
                raise Refused(refusal_of(self._call, Token(), outcome))
            if not outcome.silent or self._is_partial:
                self._token, self._unreached = outcome.token, outcome.silent
                return
            if left_s <= AGAIN_S:
                raise Refused(self._not_reached(outcome.silent))
            yield AGAIN_S

    def _not_reached(self, silent: Sequence[str]) -> Reply:
        words = (
            f"{', '.join(silent)} cannot be reached, so writes may be missing that no other node "
            "has; partial=true exports what the other nodes have"
        )
        return problem(self._call, "unavailable", words, unreached=silent)

    # ------------------------------------------------------------------ the lines
    def go_on(self) -> FeedSteps:
        """Say all of it."""
        view = self._view
        head = {
            "export": FORMAT,
            "view": str(view.id),
            "began_at": self._began,
            "shards": [shard.id for shard in view.shards],
            "unreached": self._unreached,
        }
        policies = [line_of({"policy": shown_policy(policy)}) for policy in view.policies]
        yield FeedWords(line_of(head) + b"".join(policies))
        try:
            for place, shard in enumerate(view.shards):
                yield FeedWords(line_of({"shard": shard.id}))
                for slots in in_portions(view.slots_of_shard(place), PORTION_SLOTS):
                    yield from self._portion(slots)
            unchanged = yield from self._is_unchanged()
        except Refused as refusal:
            yield FeedWords(self._last({"problem": orjson.Fragment(refusal.reply.body)}))
            return
        yield FeedWords(self._last({"unchanged": unchanged}))

    def _is_unchanged(self) -> Generator[Sequence[Request], Sequence[Outcome], bool]:
        """Ask whether any node has what none of them had at the beginning."""
        (outcome,) = yield (JoinClocks(self._timeout_s),)
        if not isinstance(outcome, ClocksJoined) or outcome.silent or self._unreached:
            return False
        return not _clock_of(self._token).lacks(_clock_of(outcome.token))

    def _last(self, more: dict[str, object]) -> bytes:
        done = sum(self._counts[kind] for kind in KINDS)
        token = replace(self._seen.within(EXACT_MAX), name=self._call.facts().cluster)
        return line_of({"done": done, **self._counts, "token": token_text(token), **more})

    def _portion(self, slots: Slots) -> Saying:
        """List the keys of some slots, page by page, and say what they hold."""
        start = FIRST_OF_ALL
        while start:
            (outcome,) = yield (self._list(slots, start, PAGE_KEYS),)
            if not isinstance(outcome, KeysListed):
                raise Refused(refusal_of(self._call, Token(), outcome))
            keys, start = outcome.keys, outcome.upto
            while keys:
                some, keys = keys[: self._reads_at_once], keys[self._reads_at_once :]
                outcomes = yield [self._get(key) for key in some]
                yield FeedWords(self._said(some, outcomes))

    def _list(self, slots: Slots, start: str, limit: int) -> ListKeys:
        return ListKeys(slots, start, "", limit, self._token, self._timeout_s)

    def _get(self, key: str) -> Get:
        patience = self._timeout_s
        return Get(key, Mode.SIBLINGS, self._token, wait_s=patience, timeout_s=patience, raw=True)

    def _said(self, keys: Sequence[str], outcomes: Sequence[Outcome]) -> bytes:
        """Return the lines of some keys; a key that was deleted since it was listed has none."""
        said: list[bytes] = []
        for key, outcome in zip(keys, outcomes, strict=True):
            if isinstance(outcome, Found):
                self._counts["keys"] += is_plain(key)
                for kind, line in lines_of(key, outcome):
                    self._counts[kind] += 1
                    said.append(line)
                self._seen = self._seen.joined(outcome.token)
            elif not isinstance(outcome, Absent):
                raise Refused(refusal_of(self._call, Token(), outcome))
        self._seen = self._seen.within(EXACT_MAX)
        fitting = READ_BYTES_MAX * len(keys) // max(1, sum(map(len, said)))
        self._reads_at_once = max(1, min(fitting, 2 * self._reads_at_once, READS_MAX))
        return b"".join(said)
