"""What the commands about many keys do, and what they print.

Keys and results go to standard output, one in a line, as they come.  What failed is told on
standard error, and the exit code is that of the first operation that failed.
"""

import base64
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from cluster.cli.client_session import Asked, code_of, session_of, words_of
from cluster.cli.data_commands import level_of, read_level_of, said_of, short
from cluster.engines.console import say, table
from cluster.engines.topology import UNAVAILABLE, USAGE, Trouble
from coterie import (
    Client,
    CoterieError,
    Delete,
    Done,
    Get,
    Listed,
    OnMiss,
    Operation,
    Put,
    Resolver,
    Snapshot,
)

KINDS = ("put", "get", "delete")
FIELDS = {"op", "key", "value", "value_base64", "context"}


@dataclass(frozen=True)
class ListOptions:
    """Which keys are listed, and how."""

    prefix: str
    after: str
    delimiter: str | None
    counts: bool
    partial: bool


@dataclass(frozen=True)
class BulkOptions:
    """How the operations of a bulk are carried out; `prefix` is put before each key."""

    prefix: str
    w: str | None
    r: str | None
    on_miss: OnMiss | None
    by: Resolver | None


# ------------------------------------------------------------------ keys
def keys(asked: Asked, options: ListOptions, as_json: bool) -> None:
    """Print keys, or groups of them; end with the code of what is unavailable if some lack."""
    if options.counts and options.delimiter is None:
        raise Trouble("--counts counts the keys of groups: give a --delimiter, such as /", USAGE)
    with session_of(asked) as (kv, _):
        listed = _listed(kv, options)
        for line in _lines(listed, options, as_json):
            print(line)
        if unanswered := listed.unanswered:
            words = f"the keys of {', '.join(unanswered)} are lacking: no node of it answered"
            raise Trouble(words, UNAVAILABLE)


def _listed(kv: Client, options: ListOptions) -> Listed[Any]:
    prefix, after, partial = options.prefix, options.after, options.partial
    if options.delimiter is None:
        return kv.keys(prefix, after=after, partial=partial)
    return kv.groups(
        prefix, delimiter=options.delimiter, counts=options.counts, after=after, partial=partial
    )


def _lines(listed: Listed[Any], options: ListOptions, as_json: bool) -> Iterator[str]:
    for entry in listed:
        if options.delimiter is None:
            yield json.dumps(entry) if as_json else entry
        elif as_json:
            kind = "key" if entry.is_key else "prefix"
            count = {"count": entry.count} if options.counts else {}
            yield json.dumps({kind: entry.name, **count})
        else:
            yield f"{entry.count:>8}  {entry.name}" if options.counts else entry.name


# ------------------------------------------------------------------ bulk
def bulk(asked: Asked, source: str, options: BulkOptions, as_json: bool) -> None:
    """Carry out the operations of a file, and print what came of each."""
    done = failed = 0
    code = 0
    with _opened(source) as lines, session_of(asked) as (kv, _):
        operations = Operations(lines, options.prefix)
        w, r = level_of(options.w), read_level_of(options.r)
        for each in kv.bulk(operations, w=w, r=r, on_miss=options.on_miss, resolve=options.by):
            done += each.error is None
            failed += each.error is not None
            if each.error is not None:
                code = code or code_of(each.error)
            _say_done(each, as_json)
    if not as_json:
        say(f"{done} done, {failed} failed")
    if operations.trouble:
        raise operations.trouble
    if code:
        sys.exit(code)


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    if source == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(source.removeprefix("@")).open("rb") as lines:
            yield lines
    except OSError as error:
        raise Trouble(f"{source} cannot be read: {error.strerror}", USAGE) from error


class Operations:
    """The operations of lines.  A line that is none ends them: what is before it is carried out,
    and `trouble` says what is wrong with it."""

    def __init__(self, lines: Iterable[bytes], prefix: str) -> None:
        self._lines, self._prefix = lines, prefix
        self.trouble: Trouble | None = None

    def __iter__(self) -> Iterator[Operation]:
        for number, line in enumerate(self._lines, 1):
            if not line.strip():
                continue
            try:
                operation = _operation(json.loads(line), self._prefix)
            except (ValueError, KeyError, TypeError):
                expected = '{"op":"put","key":...,"value":...}, or a get or delete with its key'
                words = "the lines before it were carried out, and none behind it"
                self.trouble = Trouble(
                    f"line {number} is no operation: {words}; expected {expected}", USAGE
                )
                return
            yield operation


def _operation(said: dict[str, Any], prefix: str) -> Operation:
    kind, key, context = said["op"], prefix + said["key"], said.get("context")
    if kind not in KINDS or said.keys() - FIELDS or not isinstance(context, str | None):
        raise ValueError(kind)
    is_put = "value" in said or "value_base64" in said
    if is_put != (kind == "put") or (kind == "get" and context is not None):
        raise ValueError(kind)
    if kind == "get":
        return Get(key)
    if kind == "delete":
        return Delete(key, context)
    value = (
        said["value"] if "value" in said else base64.b64decode(said["value_base64"], validate=True)
    )
    return Put(key, value, context)


def _say_done(done: Done, as_json: bool) -> None:
    if as_json:
        print(json.dumps(done_document(done)))
    elif done.error is not None:
        print(f"{done.operation.key}: {words_of(done.error, done.operation.key)}", file=sys.stderr)


def done_document(done: Done) -> dict[str, Any]:
    """Return what came of an operation, for programs."""
    key = {"op": type(done.operation).__name__.lower(), "key": done.operation.key}
    if done.error is not None:
        return {**key, **_error(done.error)}
    if done.value is not None:
        return {**key, **said_of(done.value)}
    assert done.written is not None, "an operation is a read, a write, or has failed"
    return {**key, **asdict(done.written)}


def _error(error: CoterieError) -> dict[str, Any]:
    return {"error": type(error).__name__, "detail": str(error), "definite": error.definite}


# ------------------------------------------------------------------ snapshot
def snapshot(asked: Asked, keys: Sequence[str], by: Resolver | None, as_json: bool) -> None:
    """Print what the keys show together; end with the code of the first that has no one value."""
    with session_of(asked) as (kv, _):
        shot = kv.snapshot(keys, resolve=by)
    if as_json:
        print(json.dumps({key: _shown(shot, key) for key in keys}))
    else:
        say(table(("KEY", "VALUE"), [(key, _words(shot, key)) for key in keys]))
    if first := next((shot.errors[key] for key in keys if key in shot.errors), None):
        sys.exit(code_of(first))


def _shown(shot: Snapshot, key: str) -> dict[str, Any]:
    return _error(shot.errors[key]) if key in shot.errors else said_of(shot.values[key])


def _words(shot: Snapshot, key: str) -> str:
    if key in shot.errors:
        return f"({words_of(shot.errors[key], key)})"
    read = shot.values[key]
    return short(read.value, read.content_type)
