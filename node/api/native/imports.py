"""POST /v1/import: the lines of an export, written into this cluster, whatever its shape.

An import adds, and never replaces: a value that its key shows already is left as it is, and any
other one stands beside what is there; a counter that is there is kept, and a set gets the elements
that it lacks.  So the same lines may come twice.

Lines are carried out side by side, those of one key one after the other: so of several values the
one that was written last is again the last.  A line that cannot be written is answered, and the
next one goes on.  The last line of the answer says how many there were of each outcome.
"""

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from node.api.access import must_have
from node.api.contract import BodyLines, Call, Dialect, LineSteps, Refused, Reply, Route, Steps
from node.api.native.answers import refusal_of
from node.api.native.bulk import LEVELS, NUMBER
from node.api.native.export_lines import line_of
from node.api.native.import_lines import ImportStep, step_of
from node.api.native.opaque import token_text
from node.api.native.parameters import BOOLEANS, check_query, choice_of, timeout_of
from node.api.native.policies import adding
from node.api.native.problems import dialect, malformed, problem, reworded
from node.core.model.keys import FIRST_OF_ALL
from node.core.model.policies import Policy
from node.core.model.token import EXACT_MAX, Token
from node.core.protocol.operations import (
    Absent,
    Found,
    KeysListed,
    ListKeys,
    Outcome,
    Put,
    Request,
    Stored,
)
from node.security.scopes import ApiScope

PATH = "/v1/import"
BATCH_LINES_MAX = 256
KEYS_AT_ONCE = 64  # are read: they have values where an import is made once more
HAS_KEYS = "the cluster has keys already"
OUTCOMES = ("written", "there", "expired", "failed")

Said = Generator[Sequence[Request] | float, Sequence[Outcome], list[bytes]]


class Numbered(msgspec.Struct, frozen=True):
    """What is to be done with a line, and the number of the line."""

    number: int
    step: ImportStep


def imports() -> Dialect:
    """Return the route of imports."""
    return dialect(
        "import",
        Route("POST", PATH, begin, ApiScope.ADMIN, reads_lines=True),
    )


def begin(call: Call) -> BodyLines:
    """Check what counts for all lines; look whether the cluster is empty, unless it need not be."""
    must_have(call, ApiScope.WRITE)
    check_query(call, ("merge", "timeout", "w"))
    level, levels = call.query.get("w", "quorum"), LEVELS["w"]
    if level not in levels and not NUMBER.fullmatch(level):
        raise malformed(call, f"w is {level!r}; expected {', '.join(levels)} or a number")
    merges = choice_of(call, "merge", BOOLEANS, "false") == "true"
    work = _Import(call, timeout_of(call))
    headers = {"Kv-Served-By": call.facts().address}
    line_bytes_max = call.limits.body_bytes_max
    opening = None if merges else work.find_empty()
    return BodyLines(work.answer, work.end, BATCH_LINES_MAX, line_bytes_max, headers, opening)


class _Import:
    """One import under way: how many lines have come, and what has become of them."""

    def __init__(self, call: Call, timeout_s: float) -> None:
        self._call, self._timeout_s = call, timeout_s
        self._outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
        self._lines, self._token = 0, Token()

    def find_empty(self) -> Steps:
        """Refuse the import if there is a key."""
        call, view = self._call, self._call.facts().view
        if not view.shards:
            return problem(call, "unavailable", "this node has not been told its view yet")
        shards = [view.slots_of_shard(place) for place in range(len(view.shards))]
        timeout_s = self._timeout_s
        outcomes = yield [ListKeys(s, FIRST_OF_ALL, limit=1, timeout_s=timeout_s) for s in shards]
        for outcome in outcomes:
            if not isinstance(outcome, KeysListed):
                return refusal_of(call, Token(), outcome)
        has_keys = any(isinstance(each, KeysListed) and each.keys for each in outcomes)
        return problem(call, "not-empty", HAS_KEYS) if has_keys else Reply(200, b"")

    # ------------------------------------------------------------------ lines
    def answer(self, lines: Sequence[bytes]) -> LineSteps:
        """Write what some lines say, and return what is said of those that failed."""
        said: list[bytes] = []
        left: list[Numbered] = []
        for line in lines:
            self._lines += 1
            try:
                step = step_of(self._call, line, self._timeout_s) if line.strip() else None
            except Refused as refusal:
                said.append(self._failed(self._lines, {}, refusal.reply))
                continue
            if isinstance(step, Policy):
                said += yield from self._add_policy(self._lines, step)
            elif step is not None:
                left.append(Numbered(self._lines, step))
        while left:
            run, left = _cut(left)
            said += yield from self._write(run)
        return b"".join(said)

    def _add_policy(self, number: int, policy: Policy) -> Said:
        """Set a policy, unless its prefix has one."""
        reply = yield from adding(self._call, policy)
        if reply is not None and reply.status != 200:
            return [self._failed(number, {"policy": policy.prefix}, reply)]
        self._outcomes["there" if reply is None else "written"] += 1
        return []

    def _write(self, run: Sequence[Numbered]) -> Said:
        """Read the keys of some lines, and write what they do not show."""
        said: list[bytes] = []
        writes: list[tuple[Numbered, Put]] = []
        outcomes = yield [each.step.get for each in run]
        for each, outcome in zip(run, outcomes, strict=True):
            try:
                put = self._put_after(each.step, outcome)
            except Refused as refusal:
                said.append(self._failed(each.number, each.step.name, refusal.reply))
                continue
            if isinstance(put, Put):
                writes.append((each, put))
            else:
                self._outcomes[put] += 1
        if writes:
            outcomes = yield [put for _, put in writes]
            for (each, _), outcome in zip(writes, outcomes, strict=True):
                said += self._of_write(each, outcome)
        self._token = self._token.within(EXACT_MAX)
        return said

    def _put_after(self, step: ImportStep, read: Outcome) -> Put | str:
        """Return the write of a line, or what has become of it without one."""
        facts = self._call.facts()
        if 0 < step.put.expires <= facts.now * 1000:
            return "expired"
        if isinstance(read, Found):
            return "there" if step.is_there(read) else step.put_beside(read, facts.cluster)
        if isinstance(read, Absent):
            return step.put
        raise Refused(refusal_of(self._call, Token(), read))

    def _of_write(self, each: Numbered, outcome: Outcome) -> list[bytes]:
        if not isinstance(outcome, Stored):
            refusal = refusal_of(self._call, Token(), outcome)
            return [self._failed(each.number, each.step.name, refusal)]
        self._outcomes["written"] += 1
        self._token = self._token.joined(outcome.token)
        return []

    # ------------------------------------------------------------------ what is said
    def _failed(self, number: int, name: Mapping[str, str], reply: Reply) -> bytes:
        self._outcomes["failed"] += 1
        return line_of({"line": number, **name, "problem": orjson.Fragment(reply.body)})

    def end(self, why: Reply | None) -> bytes:
        """Return the last line: how many lines had which outcome, and what broke it off."""
        line: dict[str, Any] = {
            "done": sum(self._outcomes.values()),
            **self._outcomes,
            "token": token_text(self._token),
        }
        if why is not None:
            line["problem"] = orjson.Fragment(reworded(self._call, why).body)
        return line_of(line)


def _cut(left: Sequence[Numbered]) -> tuple[list[Numbered], list[Numbered]]:
    """Return lines that may be carried out together, no two of one key, and the rest."""
    run: list[Numbered] = []
    rest: list[Numbered] = []
    keys = set[str]()
    for each in left:
        is_next = each.step.get.key not in keys and len(run) < KEYS_AT_ONCE
        (run if is_next else rest).append(each)
        keys.add(each.step.get.key)
    return run, rest
