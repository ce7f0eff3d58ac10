"""Counters and sets: values that nodes merge, so that writes beside each other are all there."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar

from coterie.answers import acks_in, document_in, header_of, unexpected
from coterie.calls import Call, OnMiss, ReadLevel, WriteOptions, headers_of, pairs
from coterie.errors import Absent
from coterie.steps import Answer
from coterie.values import JSON

Scalar: TypeAlias = str | int | float | bool | None
T = TypeVar("T")
COUNTERS, SETS = "/v1/counters/", "/v1/sets/"


@dataclass(frozen=True, slots=True)
class Counted:
    """What an addition did: the counter has this value, as far as its home knows, and `acks` of
    `copies` replicas have the addition on disk; other nodes keep it for `hints` of the rest."""

    key: str
    value: int
    acks: int
    copies: int
    hints: int
    served_by: str


@dataclass(frozen=True, slots=True)
class Members:
    """What a change of a set did: it has these elements, as far as its home knows, and `acks` of
    `copies` replicas have the change on disk; other nodes keep it for `hints` of the rest."""

    key: str
    elements: list[Scalar]
    acks: int
    copies: int
    hints: int
    served_by: str


# ------------------------------------------------------------------ counters
def add(key: str, amount: int, options: WriteOptions) -> Call[Counted]:
    return _change(COUNTERS, key, {"add": amount}, options, partial(_counted_in, key))


def value(key: str, r: ReadLevel | None, on_miss: OnMiss | None) -> Call[int]:
    return _read(COUNTERS, key, r, on_miss, _value_in)


def _counted_in(key: str, answer: Answer) -> Counted:
    count = _value_of(answer, document_in(answer, is_write=True))
    return Counted(key, count, *acks_in(answer), header_of(answer, "kv-served-by"))


def _value_in(answer: Answer) -> int:
    """Return the value of a counter; to one that is not there nothing was added."""
    try:
        return _value_of(answer, document_in(answer))
    except Absent:
        return 0


def _value_of(answer: Answer, said: Mapping[str, Any]) -> int:
    count = said.get("value")
    if not isinstance(count, int):
        raise unexpected(answer, "it has no value of a counter")
    return count


# ------------------------------------------------------------------ sets
def change(
    key: str, added: Iterable[Scalar], removed: Iterable[Scalar], options: WriteOptions
) -> Call[Members]:
    body = {"add": list(added), "remove": list(removed)}
    return _change(SETS, key, body, options, partial(_members_in, key))


def elements(key: str, r: ReadLevel | None, on_miss: OnMiss | None) -> Call[list[Scalar]]:
    return _read(SETS, key, r, on_miss, _elements_in)


def _members_in(key: str, answer: Answer) -> Members:
    found = _elements_of(answer, document_in(answer, is_write=True))
    return Members(key, found, *acks_in(answer), header_of(answer, "kv-served-by"))


def _elements_in(answer: Answer) -> list[Scalar]:
    """Return the elements of a set; one that is not there has none."""
    try:
        return _elements_of(answer, document_in(answer))
    except Absent:
        return []


def _elements_of(answer: Answer, said: Mapping[str, Any]) -> list[Scalar]:
    found = said.get("elements")
    if not isinstance(found, list):
        raise unexpected(answer, "it has no elements of a set")
    return found


# ------------------------------------------------------------------ both
def _read(
    place: str,
    key: str,
    r: ReadLevel | None,
    on_miss: OnMiss | None,
    read: Callable[[Answer], T],
) -> Call[T]:
    return Call(
        method="GET",
        key=key,
        query=pairs({"r": r, "on-miss": on_miss}),
        headers=(),
        read=read,
        fails_unmet=on_miss == "fail",
        place=place,
    )


def _change(
    place: str,
    key: str,
    body: Mapping[str, Any],
    options: WriteOptions,
    read: Callable[[Answer], T],
) -> Call[T]:
    return Call(
        method="POST",
        key=key,
        query=pairs({"w": options.w}),
        headers=headers_of({**options.headers(), "Content-Type": JSON}),
        read=read,
        body=json.dumps(body, allow_nan=False).encode(),
        is_write=True,
        drawn_name=options.drawn_name,
        place=place,
    )
