"""POST /v1/bulk: many operations in one request, answered line by line in their order.

Each line is an operation, and is carried out as the request of a single key that it stands for.
Those of one batch are begun together, so their writes reach the disk together.  An operation begins
after all earlier ones of its key are answered.

The token that is sent counts for all of them.  The token of the last line depends on all that they
have shown and written.  A write does not depend on the other writes of its bulk: with each value
its store keeps what the value depends on, and that would be most of the bulk.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
import orjson

from node.api.access import must_have
from node.api.contract import (
    Ask,
    BodyLines,
    Call,
    Dialect,
    Facts,
    LineSteps,
    Refused,
    Reply,
    Route,
)
from node.api.native.key_values import (
    ON_MISS,
    READ_PARAMETERS,
    WRITE_PARAMETERS,
    delete_of,
    put_of,
    read_of,
)
from node.api.native.opaque import token_text
from node.api.native.parameters import (
    BINARY,
    JSON,
    KeyRequest,
    about_key,
    check_query,
    checked_key,
    choice_of,
    identity_of,
    is_strict,
    timeout_of,
    token_in,
    wants_minimal,
)
from node.api.native.problems import dialect, malformed, reworded
from node.core.model.quorum import AVAILABLE
from node.core.model.token import EXACT_MAX
from node.core.protocol.operations import Absent, Found, Mismatch, Outcome, Stored
from node.security.scopes import ApiScope

PATH = "/v1/bulk"
NAME = "Idempotency-Key"
PARAMETERS = (READ_PARAMETERS | WRITE_PARAMETERS) - {"sibling", "envelope"}
BATCH_LINES_MAX = 512
READS_AT_ONCE = 8  # to begin with: their values may be large
READ_BYTES_MAX = 1024 * 1024  # of the values of reads at once: with more, fewer are read at once
LEVELS = {"w": (AVAILABLE, "one", "quorum", "all"), "r": ("one", "quorum", "all")}
NUMBER = re.compile(r"[1-9][0-9]{0,3}")  # how many replicas a key has, is its own
PASSED_ON = ("w", "r", "strict", "on-miss")
SCOPES = {"put": ApiScope.WRITE, "get": ApiScope.READ, "delete": ApiScope.WRITE}
ASKS = {"put": ("PUT", put_of), "get": ("GET", read_of), "delete": ("DELETE", delete_of)}


class BulkOperation(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a bulk."""

    op: Literal["put", "get", "delete"]
    key: str
    value: msgspec.Raw = msgspec.Raw()
    value_base64: bytes | None = None  # decoded
    context: str | None = None


class BulkStep(msgspec.Struct, frozen=True):
    """An operation of a batch: what it asks for (None: nothing), or why it is refused."""

    op: str
    key: str
    ask: Ask | None
    refusal: Reply = Reply(400, b"")

    @property
    def reads(self) -> bool:
        """Whether it is a read."""
        return self.op == "get" and self.ask is not None


_decode = msgspec.json.Decoder(BulkOperation).decode


def bulk() -> Dialect:
    """Return the route of bulks."""
    return dialect(
        "bulk",
        Route("POST", PATH, begin, ApiScope.EACH, reads_lines=True),
    )


def begin(call: Call) -> BodyLines:
    """Check what counts for all operations, and take the first ones."""
    check_query(call, PARAMETERS)
    is_strict(call)
    choice_of(call, "on-miss", ON_MISS, "wait")
    for name, levels in LEVELS.items():
        text = call.query.get(name, "all")
        if text not in levels and not NUMBER.fullmatch(text):
            expected = f"{', '.join(levels)} or a number"
            raise malformed(call, f"{name} is {text!r}; expected {expected}")
    work = _Bulk(call)
    headers = {"Kv-Served-By": call.facts().address}
    return BodyLines(work.answer, work.end, BATCH_LINES_MAX, call.limits.body_bytes_max, headers)


class _Bulk:
    """One bulk under way: how many operations are done, and what its client depends on then."""

    def __init__(self, call: Call) -> None:
        self._call, self._timeout_s = call, timeout_of(call)
        self._is_short = wants_minimal(call)
        self._query = {name: call.query[name] for name in PASSED_ON if name in call.query}
        self._name = {NAME: call.headers[NAME]} if identity_of(call) else {}
        self._given = self._token = token_in(call)
        self._done, self._reads_at_once = 0, READS_AT_ONCE

    def answer(self, lines: Sequence[bytes]) -> LineSteps:
        """Carry out some lines, and return what is said of them."""
        facts = self._call.facts()
        batch = [self._begun(line, facts) for line in lines if line.strip()]
        said: list[bytes] = []
        while len(said) < len(batch):
            run = list(self._run(batch[len(said) :]))
            asks = [each.ask.request for each in run if each.ask is not None]
            outcomes = iter((yield asks) if asks else ())
            answers = [self._said(each, outcomes) for each in run]
            self._token = self._token.within(EXACT_MAX)
            if reads := sum(each.reads for each in run):
                self._adapt(reads, sum(map(len, answers)))
            said += answers
        self._done += len(said)
        return b"".join(said)

    def _run(self, batch: Sequence[BulkStep]) -> Iterator[BulkStep]:
        """Yield the first operations that may go on together: no two of one key, and few reads."""
        keys, reads = set[str](), 0
        for each in batch:
            if each.key in keys or (each.reads and reads >= self._reads_at_once):
                return
            keys.add(each.key)
            reads += each.reads
            yield each

    def _adapt(self, reads: int, size: int) -> None:
        """Read more at once while values are short, fewer where they are long."""
        fitting = READ_BYTES_MAX * reads // max(1, size)
        self._reads_at_once = max(1, min(fitting, 2 * self._reads_at_once, BATCH_LINES_MAX))

    # ------------------------------------------------------------------ from a line to a request
    def _begun(self, line: bytes, facts: Facts) -> BulkStep:
        operation = BulkOperation("get", "")
        try:
            operation = self._operation_in(line)
            must_have(self._call, SCOPES[operation.op])
            self._check(operation)
            asked = self._request_of(operation, facts)
            ask = ASKS[operation.op][1](asked)
        except Refused as refusal:
            return BulkStep(operation.op, operation.key, None, refusal.reply)
        return BulkStep(operation.op, operation.key, ask)

    def _operation_in(self, line: bytes) -> BulkOperation:
        try:
            return _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise malformed(self._call, f"the line is no operation: {error}") from error

    def _check(self, operation: BulkOperation) -> None:
        """Refuse what an operation of its kind does not have."""
        values = bool(operation.value) + (operation.value_base64 is not None)
        if values != (operation.op == "put"):
            words = "a put has a value or a value_base64, and other operations have none"
            raise malformed(self._call, words)
        if operation.op == "get" and operation.context is not None:
            raise malformed(self._call, "a get has no context")
        if not operation.key:
            raise malformed(self._call, "the key is empty: it has 1 to 1024 bytes")
        checked_key(self._call, operation.key)

    def _request_of(self, operation: BulkOperation, facts: Facts) -> KeyRequest:
        """Return the request of a single key that the operation stands for."""
        key, value, headers, query = operation.key, operation.value_base64, self._name, self._query
        if operation.op == "put":
            headers = {**headers, "Content-Type": JSON if value is None else BINARY}
        if operation.op == "get":
            query = {**query, "envelope": "true"}
        if operation.context is not None:
            headers = {**headers, "Kv-Context": operation.context}
        body = bytes(operation.value) if value is None else value
        method, limits = ASKS[operation.op][0], self._call.limits
        call = Call(method, {"key": key}, query, headers, body, lambda: facts, limits)
        token = self._token if operation.op == "get" else self._given
        return about_key(call, facts, key, token, self._timeout_s)

    # ------------------------------------------------------------------ from an answer to a line
    def _said(self, begun: BulkStep, outcomes: Iterator[Outcome]) -> bytes:
        """Return the line of an operation; its outcome is the next one if it has asked."""
        if begun.ask is None:
            return self._line(begun, begun.refusal)
        outcome = next(outcomes)
        if isinstance(outcome, Stored | Found | Absent | Mismatch):
            self._token = self._token.joined(outcome.token)
            if len(self._token.exact) > 2 * EXACT_MAX:
                self._token = self._token.within(EXACT_MAX)
        return self._line(begun, begun.ask.say(outcome))

    def _line(self, begun: BulkStep, reply: Reply) -> bytes:
        status, headers = reply.status, reply.headers
        if status >= 400:
            refusal = orjson.Fragment(reply.body)
            return _text({"status": status, "key": begun.key, "problem": refusal})
        if begun.op == "get":
            return b'{"status":%d,%b\n' % (status, reply.body[1:])
        if self._is_short:
            return b'{"status":%d}\n' % status
        acks, _, copies = headers["Kv-Acks"].partition("/")
        written = {
            "status": status,
            "key": begun.key,
            "etag": headers.get("ETag"),
            "context": headers["Kv-Context"],
            "acks": int(acks),
            "copies": int(copies),
        }
        hints = {"hints": int(headers["Kv-Hints"])} if "Kv-Hints" in headers else {}
        return _text({**written, **hints})

    def end(self, why: Reply | None) -> bytes:
        """Return the last line: how many operations are done, the token, and what broke it off."""
        line: dict[str, Any] = {"done": self._done, "token": token_text(self._token)}
        if why is not None:
            line["problem"] = orjson.Fragment(reworded(self._call, why).body)
        return _text(line)


def _text(line: dict[str, Any]) -> bytes:
    return orjson.dumps(line) + b"\n"
