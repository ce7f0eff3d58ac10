"""A bulk of operations, as conversations with the nodes: one for each batch, one after the other.

The answer to a batch comes line by line, and each line is given to the program at once.  If the
answer breaks off, or a line says that too few replicas answered, the whole batch is sent to the
next node, under the same name: its writes are done once, and what the program has been given
already is passed over.  The last line has the token, so that a session depends on all that it was
given.

A node remembers names for ten minutes.  A program that takes longer than half of that over one
batch may have its bulk broken off, but never has a write done twice.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from coterie import calls
from coterie.answers import TRY_AGAIN, error_in, unexpected
from coterie.calls import NAME, Call, OnMiss, ReadLevel, WriteLevel, pairs
from coterie.documents import line_written, shown_in
from coterie.errors import CoterieError, Unmet
from coterie.lines import Lines
from coterie.operations import Batch, Done, Line, Operation, batches
from coterie.resolvers import Resolver
from coterie.retries import Tries, request_of, rest_of
from coterie.session_core import TIMEOUT_S_MAX, SessionCore
from coterie.steps import Answer, Emit, More, NoAnswer, Open, Opened, Steps, Stream

T = TypeVar("T")

CUT_OFF = NoAnswer("the answer was cut off", was_sent=True)
IS_GOING_ON, CROWDED = 200, 409
PROBLEM = {"content-type": "application/problem+json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """How the operations of a bulk are carried out; the time is that of each batch."""

    w: WriteLevel | None
    r: ReadLevel | None
    on_miss: OnMiss | None
    resolve: Resolver | None
    timeout_s: float


def bulk(core: SessionCore, operations: Iterable[Operation], options: BulkOptions) -> Stream[Done]:
    """Carry out all operations; give what came of each, in their order."""
    for batch in batches(operations):
        yield from _Sending(core, batch, options).steps()


@dataclass(slots=True)
class _Sending:
    """A batch on its way: what the program was given so far, and what may have been done."""

    core: SessionCore
    batch: Batch
    options: BulkOptions
    given: int = 0
    is_done: bool = False
    tokens: tuple[str, ...] = field(init=False)
    begun: float = field(init=False)
    deadline: float = field(init=False)
    tries: Tries = field(init=False)

    def __post_init__(self) -> None:
        world = self.core.world
        self.tokens = self.core.seen.tokens()
        self.begun = world.clock()
        self.deadline = self.begun + self.options.timeout_s
        self.tries = Tries(world, world.nodes.in_turn(), is_write=self.batch.has_writes)

    def steps(self) -> Stream[Done]:
        """Send the batch until all of it is answered; raises what a single call does."""
        world, call = self.core.world, self._call(self.batch.lines, calls.nothing_lacks)
        call = replace(call, headers=((NAME, self.core.drawn_name()), *call.headers))
        while not self.is_done:
            until = min(self.deadline, self.begun + TIMEOUT_S_MAX)
            url = yield from self.tries.turn(until)
            wait_s, began = self.tries.wait_s(url, until), world.clock()
            told = yield Open(request_of(call, self.tokens, url, wait_s), wait_s)
            if isinstance(told, NoAnswer):
                self.tries.had_no_answer(url, told, world.clock() - began)
                continue
            assert isinstance(told, Opened), "a request is told a head, or that there is none"
            if told.status == IS_GOING_ON:
                yield from self._lines(url, told)
            else:
                self.tries.passed_over(url, (yield from rest_of(told)))

    def _call(self, lines: Sequence[Line], read: Callable[[Answer], T]) -> Call[T]:
        seen, options = self.core.context_in, self.options
        sent = [line.sent(seen(line.operation.key, line.operation.context)) for line in lines]
        return Call(
            method="POST",
            key="",
            query=pairs({"w": options.w, "r": options.r, "on-miss": options.on_miss}),
            headers=(("Content-Type", "application/x-ndjson"),),
            read=read,
            body=b"".join(sent),
            is_write=self.batch.has_writes,
            place="/v1/bulk",
        )

    # -------------------------------------------------------------- the answer of a node
    def _lines(self, url: str, head: Opened) -> Stream[Done]:
        """Give what each line says, until the last one, or until another node may do better."""
        lines, at = Lines(), 0
        while isinstance(part := (yield More()), bytes) and part:
            for text in lines.take(part):
                document = _object_in(head, text)
                if "done" in document or at == len(self.batch.lines):
                    self._end(url, head, document, at)
                    return
                if at >= self.given:
                    if (refusal := self._passing(head, document)) is not None:
                        self.tries.had_refusal(url, refusal, "")
                        self.tries.is_in_doubt |= self.batch.has_writes
                        return
                    yield from self._give(self.batch.lines[at], head, document)
                at += 1
        self.tries.had_no_answer(url, part if isinstance(part, NoAnswer) else CUT_OFF)

    def _end(self, url: str, head: Opened, document: Mapping[str, Any], at: int) -> None:
        """Take the last line, which says how many operations are done."""
        if "problem" in document:
            self.tries.is_in_doubt |= self.batch.has_writes
            self.tries.passed_over(url, _refused(head, document))
        elif at != len(self.batch.lines) or "token" not in document:
            raise unexpected(_answer(head), "it has other lines than the batch", definite=False)
        else:
            self.core.world.nodes.has_answered(url)
            self.core.seen.learn_token(self.tokens, document["token"])
            self.is_done = True

    # -------------------------------------------------------------- one line
    def _passing(self, head: Opened, document: Mapping[str, Any]) -> CoterieError | None:
        """Return the refusal of a line that another node may not have, if there is time to ask."""
        if document["status"] not in TRY_AGAIN:
            return None
        world, error = self.core.world, error_in(_refused(head, document), is_write=True)
        if isinstance(error, Unmet) and self.options.on_miss == "fail":
            return None
        wanted_s = min(world.patience.attempt_s, self.options.timeout_s) / 2
        return error if self.deadline - world.clock() > wanted_s else None

    def _give(self, line: Line, head: Opened, document: Mapping[str, Any]) -> Stream[Done]:
        """Give what came of an operation.  The time that the program takes for it does not
        count."""
        is_free = line.operation.is_write and not self.tries.is_in_doubt
        if document["status"] == CROWDED and is_free:
            done = yield from self._alone(line)
        else:
            done = self._done(line.operation, head, document)
        given_at = self.core.world.clock()
        self.given += 1
        yield Emit(done)
        self.deadline += self.core.world.clock() - given_at

    def _done(self, operation: Operation, head: Opened, document: Mapping[str, Any]) -> Done:
        if "context" in document:
            self.core.seen.learn_context(operation.key, document["context"])
        try:
            if "problem" in document:
                error = error_in(_refused(head, document), is_write=operation.is_write)
                raise self.tries.judged(error) if operation.is_write else error
            if operation.is_write:
                return Done(operation, written=line_written(_answer(head), document))
            return Done(operation, shown_in(_answer(head), document, self.options.resolve))
        except CoterieError as error:
            return Done(operation, error=error)

    def _alone(self, line: Line) -> Steps[Done]:
        """Send a write once more without the name, of which its key remembers no more."""
        call = self._call([line], partial(self._only_line, line.operation))
        try:
            return (yield from self.core.talk(call, self.deadline))
        except CoterieError as error:
            return Done(line.operation, error=error)

    def _only_line(self, operation: Operation, answer: Answer) -> Done:
        if answer.status != IS_GOING_ON:
            raise error_in(answer, is_write=True)
        head = Opened(answer.status, answer.headers)
        said = [_object_in(head, text) for text in answer.body.splitlines()]
        if len(said) != 2 or "token" not in said[1]:
            raise unexpected(answer, "it has no line for the operation", definite=False)
        self.core.seen.learn_token((), said[1]["token"])
        return self._done(operation, head, said[0])


def _answer(head: Opened) -> Answer:
    return Answer(head.status, head.headers, b"")


def _object_in(head: Opened, text: bytes) -> Mapping[str, Any]:
    """Return what a line says."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not document.keys() & {"status", "done"}:
        raise unexpected(_answer(head), f"{text[:80]!r} is no line of a bulk", definite=False)
    return document


def _refused(head: Opened, document: Mapping[str, Any]) -> Answer:
    """Return the answer that the problem of a line would have been."""
    problem = document["problem"]
    return Answer(problem["status"], {**head.headers, **PROBLEM}, json.dumps(problem).encode())
