"""Exports and imports: the lines that stand for all that a cluster holds, out of it and into it.

An export is one answer that comes line by line.  If its node does not begin it, another one is
asked; once it has begun, a break ends it, since only that node knows which line would be next.

An import sends lines in batches, each a request of its own.  A node leaves alone what is there
already, so a batch is sent again, to the next node, until all of its lines are written or refused
for good; and a program may import the same lines once more.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from coterie.answers import TRY_AGAIN, error_in, unexpected
from coterie.calls import Call, WriteLevel, pairs
from coterie.errors import CoterieError, Unavailable
from coterie.lines import Lines
from coterie.retries import Tries, request_of, rest_of
from coterie.session_core import SessionCore
from coterie.steps import Answer, Emit, More, NoAnswer, Open, Opened, Stream

BATCH_LINES_MAX = 256
BATCH_BYTES_MAX = 512 * 1024  # a longer line is sent alone
HAS_BEGUN = 200
LAST = b'{"done"'
BROKEN_OFF = "the export was broken off; begin it again"
PROBLEM = {"content-type": "application/problem+json"}


@dataclass(frozen=True, slots=True)
class ImportFailure:
    """A line that a node has refused for good: its number in the import, what it is of, and why."""

    line: int
    name: str
    error: CoterieError


@dataclass(frozen=True, slots=True)
class Imported:
    """What has become of the lines of one batch: how many were `written`, were `there` already, had
    `expired`, and those that failed.  A batch that was sent again counts as it was found then."""

    lines: int
    written: int
    there: int
    expired: int
    failures: tuple[ImportFailure, ...]


# ------------------------------------------------------------------ exports
def export(core: SessionCore, is_partial: bool, timeout_s: float) -> Stream[bytes]:
    """Give each line; raise if the export is broken off before the last one."""
    world, call = core.world, _export_call(is_partial)
    deadline = world.clock() + timeout_s
    tries = Tries(world, world.nodes.in_turn(), is_write=False)
    while True:
        url = yield from tries.turn(deadline)
        wait_s = tries.wait_s(url, deadline)
        silence_s = world.patience.silence_s
        told = yield Open(request_of(call, core.seen.tokens(), url, wait_s), silence_s)
        if isinstance(told, NoAnswer):
            tries.had_no_answer(url, told)
            continue
        assert isinstance(told, Opened), "a request is told a head, or that there is none"
        if told.status == HAS_BEGUN:
            world.nodes.has_answered(url)
            yield from _lines(told)
            return
        tries.passed_over(url, (yield from rest_of(told)))


def _export_call(is_partial: bool) -> Call[None]:
    query = pairs({"partial": "true" if is_partial else None})
    return Call(
        method="GET", key="", query=query, headers=(), read=_read_by_lines, place="/v1/export"
    )


def _read_by_lines(answer: Answer) -> None:
    """Read nothing of a whole answer: the lines of an export are read as they come."""


def _lines(head: Opened) -> Stream[bytes]:
    lines = Lines()
    while isinstance(part := (yield More()), bytes) and part:
        for line in lines.take(part):
            if line.startswith(LAST):
                said = _object_in(Answer(head.status, head.headers, line), line)
                if "problem" in said:
                    raise error_in(_refused(head.headers, said["problem"]), is_write=False)
                yield Emit(line)
                return
            yield Emit(line)
    raise Unavailable(BROKEN_OFF)


# ------------------------------------------------------------------ imports
def imports(
    core: SessionCore,
    lines: Iterable[bytes],
    merges: bool,
    w: WriteLevel | None,
    timeout_s: float,
) -> Stream[Imported]:
    """Import all lines; give what has become of each batch.  Raises NotEmpty before anything is
    written, unless it `merges`."""
    if not merges:
        deadline = core.world.clock() + timeout_s
        yield from core.talk(_import_call(b"", 0, w, merges=False), deadline)
    number = 1
    for batch in batches(lines):
        call = _import_call(b"".join(batch), number, w, merges=True)
        deadline = core.world.clock() + timeout_s
        yield Emit((yield from core.talk(call, deadline)))
        number += len(batch)


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut lines into batches; each line gets an end."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == BATCH_LINES_MAX or size + len(line) > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(line.rstrip(b"\n") + b"\n")
        size += len(line)
    if batch:
        yield batch


def _import_call(body: bytes, number: int, w: WriteLevel | None, *, merges: bool) -> Call[Imported]:
    call: Call[Imported] = Call(
        method="POST",
        key="",
        query=pairs({"merge": "true" if merges else None, "w": w}),
        headers=(("Content-Type", "application/x-ndjson"),),
        read=partial(_imported_in, number),
        body=body,
        is_write=True,
        is_safe_twice=True,
        place="/v1/import",
    )
    return call.lacking(partial(_lack_in, number))


def _imported_in(number: int, answer: Answer) -> Imported:
    if answer.status != HAS_BEGUN:
        raise error_in(answer, is_write=True)
    *failed, last = _said_in(answer)
    failures = tuple(
        ImportFailure(
            number + int(said["line"]) - 1,
            next(
                (str(said[each]) for each in ("key", "counter", "set", "policy") if each in said),
                "",
            ),
            error_in(_refused(answer.headers, said["problem"]), is_write=True),
        )
        for said in failed
    )
    return Imported(
        lines=int(last["done"]),
        written=int(last["written"]),
        there=int(last["there"]),
        expired=int(last["expired"]),
        failures=failures,
    )


def _lack_in(number: int, answer: Answer) -> CoterieError | None:
    """Return the refusal of a line, or of the rest of the body, that another node may not have."""
    if answer.status != HAS_BEGUN:
        return None
    for said in _said_in(answer):
        if said.get("problem", {}).get("status") in TRY_AGAIN:
            return error_in(_refused(answer.headers, said["problem"]), is_write=True)
    return None


def _said_in(answer: Answer) -> list[Mapping[str, Any]]:
    said = [_object_in(answer, line) for line in answer.body.splitlines()]
    if not said or "done" not in said[-1]:
        raise unexpected(answer, "the answer to an import has no last line", definite=False)
    return said


def _object_in(answer: Answer, line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise unexpected(answer, f"{line[:80]!r} is no JSON object", definite=False)
    return said


def _refused(headers: Mapping[str, str], problem: Mapping[str, Any]) -> Answer:
    """Return the answer that a problem in a line would have been."""
    return Answer(problem["status"], {**headers, **PROBLEM}, json.dumps(problem).encode())
