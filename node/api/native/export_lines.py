"""The lines of an export: each is a JSON object, and says what it is by its first field.

    {"export":1,...}         the first line: of which view, and which nodes it goes without
    {"policy":{...}}         the policy of a prefix
    {"shard":"s1"}           what follows is of this shard
    {"key":"a",...}          one value of a key; of several, the earliest one comes first
    {"counter":"a",...}      a counter with its value
    {"set":"a",...}          a set with its elements
    {"done":4,...}           the last line: how many of the three kinds above there are

A value comes back byte for byte: JSON stands in its line as it was sent if it fits there, text is a
JSON string, and all other bytes are base64.  (docs/decisions/0056.)
"""

import base64
from collections.abc import Iterator
from typing import Any, Literal

import orjson

from node.api.native.merged_keys import fields_of_set
from node.api.native.parameters import JSON
from node.core.model.counters import Counter
from node.core.model.element_sets import ElementSet
from node.core.model.keys import COUNTERS, SETS, is_plain
from node.core.model.labels import Labels
from node.core.model.merged_values import joined
from node.core.protocol.operations import Found

FORMAT = 1
Kind = Literal["values", "counters", "sets"]
KINDS: tuple[Kind, ...] = ("values", "counters", "sets")
USUAL = Labels(JSON, is_json=True)  # of a version without labels


def line_of(said: dict[str, Any]) -> bytes:
    return orjson.dumps(said) + b"\n"


def lines_of(key: str, found: Found) -> Iterator[tuple[Kind, bytes]]:
    """Yield the lines of what a key shows, each with what it is of; none for a counter or a set
    that was deleted."""
    if is_plain(key):
        places = sorted(range(len(found.values)), key=lambda place: found.timestamps[place])
        yield from (("values", line_of(_value_line(key, found, place))) for place in places)
        return
    state = joined(key, found.values)
    if state.is_there and isinstance(state, Counter):
        value = orjson.Fragment(str(state.value))
        yield "counters", line_of({"counter": key.removeprefix(COUNTERS), "value": value})
    elif state.is_there and isinstance(state, ElementSet):
        yield "sets", line_of({"set": key.removeprefix(SETS), **fields_of_set(state)})


def _value_line(key: str, found: Found, place: int) -> dict[str, Any]:
    labels, expires = found.labels[place] or USUAL, found.expires[place]
    line = {
        "key": key,
        "content_type": labels.content_type,
        **_spelled(found.values[place], labels),
        "written_at": found.timestamps[place][0] / 1000,
    }
    more = {"meta": labels.meta, "expires_at": expires / 1000 if expires else None}
    return {**line, **{name: value for name, value in more.items() if value}}


def is_json_type(content_type: str) -> bool:
    """Whether `value` in a line of this type is the value itself, as it is written there."""
    return content_type.partition(";")[0].strip().lower() == JSON


def _spelled(value: bytes, labels: Labels) -> dict[str, Any]:
    if is_json_type(labels.content_type):
        if labels.is_json and value == value.strip() and not {*b"\r\n"} & {*value}:
            return {"value": orjson.Fragment(value)}
    else:
        try:
            return {"value": value.decode()}
        except UnicodeDecodeError:
            pass
    return {"value_base64": base64.b64encode(value).decode()}
