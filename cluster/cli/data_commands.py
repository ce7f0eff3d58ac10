"""What the commands about keys do, and what they print.

Values go to standard output as they are, and nothing else does beside them: what is said of
siblings goes to standard error.
"""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.cli.client_session import Asked, session_of
from cluster.cli.explained import explained, with_names
from cluster.cli.session_file import SavedSession
from cluster.engines.console import say, table
from cluster.engines.topology import CONFLICT, USAGE, Trouble
from coterie import (
    Client,
    Conflict,
    OnMiss,
    ReadLevel,
    Resolver,
    Value,
    WriteLevel,
    Written,
)

LEVELS: Mapping[str, WriteLevel] = {
    "available": "available",
    "one": "one",
    "quorum": "quorum",
    "all": "all",
}
READ_LEVELS: Mapping[str, ReadLevel] = {"one": "one", "quorum": "quorum", "all": "all"}
SHORT_CHARACTERS = 60  # of a value in a table


@dataclass(frozen=True)
class ReadOptions:
    """How a key is read."""

    r: str | None = None
    on_miss: OnMiss | None = None
    sibling: str | None = None


@dataclass(frozen=True)
class WriteOptions:
    """How a key is written; `context` may be "last"."""

    w: str | None = None
    context: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    ttl: float | None = None
    meta: tuple[str, ...] = ()


# ------------------------------------------------------------------ arguments
def level_of(text: str | None) -> WriteLevel | None:
    """Read a level of writes, or a number of replicas; the node judges the number."""
    if text is None or text in LEVELS:
        return None if text is None else LEVELS[text]
    return _number(text, "w", LEVELS)


def read_level_of(text: str | None) -> ReadLevel | None:
    """Read a level of reads, or a number of replicas."""
    if text is None or text in READ_LEVELS:
        return None if text is None else READ_LEVELS[text]
    return _number(text, "r", READ_LEVELS)


def _number(text: str, name: str, levels: Mapping[str, Any]) -> int:
    if not text.isascii() or not text.isdecimal():
        expected = f"expected {', '.join(levels)}, or a number"
        raise Trouble(f"--{name} is {text!r}; {expected}", USAGE)
    return int(text)


def context_in(options: WriteOptions, saved: SavedSession, key: str) -> str | None:
    """Return what a write replaces."""
    if options.context != "last":
        return options.context
    if key not in saved.contexts:
        words = f"this session has not seen {key!r}: read it first, with the same --session FILE"
        raise Trouble(words, USAGE)
    return saved.contexts[key]


# ------------------------------------------------------------------ the commands
def put(
    asked: Asked,
    key: str,
    text: str,
    content_type: str | None,
    options: WriteOptions,
    as_json: bool,
) -> None:
    """Write a value, and print how many replicas have it."""
    value, usual = value_of(text)
    with session_of(asked, key) as (kv, saved):
        written = kv.put(
            key,
            value,
            w=level_of(options.w),
            context=context_in(options, saved, key),
            if_match=options.if_match,
            if_none_match=options.if_none_match,
            ttl=options.ttl,
            meta=_meta_of(options.meta),
            content_type=content_type or usual,
        )
    _say_written("written", written, as_json)


def value_of(text: str) -> tuple[bytes, str]:
    """Return the bytes of an argument, and their content type if no other one is given."""
    if text == "-":
        return sys.stdin.buffer.read(), "application/octet-stream"
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes(), "application/octet-stream"
        except OSError as error:
            raise Trouble(f"{text[1:]} cannot be read: {error.strerror}", USAGE) from error
    try:
        is_json = isinstance(json.loads(text), list | dict)
    except ValueError:
        is_json = False
    return text.encode(), "application/json" if is_json else "text/plain; charset=utf-8"


def _meta_of(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise Trouble(f"--meta {pair!r} is no label; expected NAME=TEXT", USAGE)
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def get(asked: Asked, key: str, options: ReadOptions, as_json: bool) -> None:
    """Print the value of a key as it is; of several, say which there are, and fail."""
    with session_of(asked, key) as (kv, _):
        try:
            read = kv.get(
                key,
                r=read_level_of(options.r),
                on_miss=options.on_miss,
                sibling=options.sibling,
            )
        except Conflict as conflict:
            _say_siblings(conflict, asked.names, as_json)
            raise
    if as_json:
        say(json.dumps(said_of(read)))
    else:
        sys.stdout.buffer.write(read.raw)
        sys.stdout.buffer.flush()


def delete(asked: Asked, key: str, options: WriteOptions, as_json: bool) -> None:
    """Delete the value of a key."""
    with session_of(asked, key) as (kv, saved):
        context = context_in(options, saved, key)
        w = level_of(options.w)
        deleted = kv.delete(key, w=w, context=context, if_match=options.if_match)
    _say_written("deleted", deleted, as_json)


def resolve(
    asked: Asked, key: str, pick: str | None, by: Resolver | None, w: str | None, as_json: bool
) -> None:
    """Write one value in place of all that the key has; print nothing but how it was written."""
    if (pick is None) == (by is None):
        raise Trouble("expected one of --pick ID and --by union, lww, max or min", USAGE)
    with session_of(asked, key) as (kv, _):
        level = level_of(w)
        if by is not None:
            read = kv.get(key, r="all", resolve=by)
            written = kv.put(key, read.value, w=level, context=read.context)
        else:
            chosen, context = _picked(kv, key, pick or "")
            written = kv.put(
                key,
                chosen.raw,
                w=level,
                context=context,
                meta=chosen.meta,
                content_type=chosen.content_type,
            )
    _say_written("written", written, as_json)


def _picked(kv: Client, key: str, pick: str) -> tuple[Value, str]:
    """Return one of several values as it is stored, and the context of all of them."""
    try:
        read = kv.get(key, r="all")
    except Conflict as conflict:
        if pick not in {sibling.id for sibling in conflict.siblings}:
            known = ", ".join(sibling.id for sibling in conflict.siblings)
            raise Trouble(f"{key!r} has no value {pick!r}; it has {known}", CONFLICT) from conflict
        return kv.get(key, r="all", sibling=pick), conflict.context
    raise Trouble(f"{key!r} has one value: there is nothing to pick (ETag {read.etag})", CONFLICT)


def explain(asked: Asked, key: str, as_json: bool) -> None:
    """Print why a key shows what it shows."""
    with session_of(asked, key) as (kv, _):
        document = kv.explain(key)
    if as_json:
        say(json.dumps(document, indent=1))
    else:
        say(explained(document, asked.names))


def decode_token(asked: Asked, token: str, as_json: bool) -> None:
    """Print what a token says."""
    with session_of(asked) as (kv, _):
        document = kv.decode_token(token)
    _say_decoded(document, asked.names, as_json)


def decode_context(asked: Asked, context: str, key: str | None, as_json: bool) -> None:
    """Print what a context says."""
    with session_of(asked) as (kv, _):
        document = kv.decode_context(context, key=key)
    _say_decoded(document, asked.names, as_json)


# ------------------------------------------------------------------ what they print
def _say_decoded(document: Mapping[str, Any], names: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        say(json.dumps(document, indent=1))
    for words in () if as_json else document["words"]:
        say(with_names(words, names))


def _say_written(done: str, written: Written, as_json: bool) -> None:
    if as_json:
        say(json.dumps(asdict(written)))
        return
    beside = written.siblings - 1
    others = f"; it stands beside {beside} other value{'s' if beside > 1 else ''}" if beside else ""
    kept = f", and it is kept for {written.hints} more" if written.hints else ""
    say(f"{done}: {written.acks} of {written.copies} replicas have it{kept}{others}")


def said_of(read: Value) -> dict[str, Any]:
    """Return a value and what is known of it, for programs."""
    shown = {name: value for name, value in asdict(read).items() if name not in ("value", "raw")}
    return {**shown, **_value(read.value)}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"value_base64": base64.b64encode(value).decode()}
    return {"value": value}


def _say_siblings(conflict: Conflict, names: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        siblings = [
            {name: value for name, value in asdict(each).items() if name != "value"}
            | _value(each.value)
            for each in conflict.siblings
        ]
        document = {"key": conflict.key, "siblings": siblings, "context": conflict.context}
        say(json.dumps(document))
        return
    rows = [
        (s.id, names.get(s.node, s.node), short(s.value, s.content_type)) for s in conflict.siblings
    ]
    print(table(("ID", "NODE", "VALUE"), rows), file=sys.stderr)


def short(value: object, content_type: str) -> str:
    """Return a value as a table shows it."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes, {content_type}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= SHORT_CHARACTERS else f"{line[: SHORT_CHARACTERS - 3]}..."
