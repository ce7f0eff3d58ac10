"""From a line of an export to what an import does with it: what it reads first, and what it writes.

A value is checked as in a PUT of its key.  The write has a name that is made of the line, so the
same line is the same write for ten minutes, also where an import is sent once more.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from node.api.contract import Call
from node.api.native.export_lines import USUAL, is_json_type
from node.api.native.merged_keys import Scalar, element_texts
from node.api.native.parameters import (
    META,
    about_key,
    checked_key,
    hash_of,
    labels_of,
    value_of,
    write_level_of,
)
from node.api.native.policies import policy_in
from node.api.native.problems import malformed
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode
from node.core.model.counters import COUNT_MAX
from node.core.model.keys import COUNTERS, SETS
from node.core.model.labels import Labels
from node.core.model.merged_values import joined
from node.core.model.policies import Policy
from node.core.model.quorum import wanted
from node.core.model.token import Token
from node.core.protocol.operations import Found, Get, Put

KINDS = ("key", "counter", "set", "policy")
BESIDE = ("export", "shard", "done")  # lines that say nothing to write
NO_LINE = "the line is none of an export"


class ValueLine(msgspec.Struct, forbid_unknown_fields=True):
    """One value of a key."""

    key: str
    content_type: str
    value: msgspec.Raw = msgspec.Raw()
    value_base64: bytes | None = None  # decoded
    meta: dict[str, str] = {}
    written_at: float = 0.0
    expires_at: float = 0.0


class CounterLine(msgspec.Struct, forbid_unknown_fields=True):
    """A counter."""

    counter: str
    value: int


class SetLine(msgspec.Struct, forbid_unknown_fields=True):
    """A set."""

    set: str
    elements: list[Scalar]


class ImportStep(msgspec.Struct, frozen=True):
    """What an import does with a line: it reads the key, and writes unless `is_there` holds of what
    the key shows.  `name` is what an answer calls the line."""

    name: dict[str, str]
    get: Get
    put: Put
    is_there: Callable[[Found], bool]

    def put_beside(self, found: Found, cluster: str) -> Put:
        """Return the write, with a later timestamp than what the key shows."""
        if self.put.change is not None:
            return self.put
        return replace(self.put, token=Token(timestamp=max(found.timestamps), name=cluster))


_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value_line = msgspec.json.Decoder(ValueLine).decode
_counter_line = msgspec.json.Decoder(CounterLine).decode
_set_line = msgspec.json.Decoder(SetLine).decode
_text = msgspec.json.Decoder(str).decode


def step_of(call: Call, line: bytes, timeout_s: float) -> ImportStep | Policy | None:
    """Return what is to be done with a line; None: nothing.  `call` is the import."""
    try:
        fields = _fields_of(line)
        kind = next((each for each in KINDS if each in fields), "")
        if not kind and not any(each in fields for each in BESIDE):
            raise malformed(call, f"{NO_LINE}: it has no field {', '.join((*KINDS, *BESIDE))}")
        match kind:
            case "key":
                return _step_of_value(call, _value_line(line), line, timeout_s)
            case "counter":
                return _step_of_counter(call, _counter_line(line), line, timeout_s)
            case "set":
                return _step_of_set(call, _set_line(line), line, timeout_s)
            case "policy":
                return _policy(call, fields["policy"])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(call, f"{NO_LINE}: {error}") from error
    return None


def _policy(call: Call, body: msgspec.Raw) -> Policy:
    fields = _fields_of(body)
    path = {"prefix": _text(fields.get("prefix", msgspec.Raw(b'""')))}
    return policy_in(Call("PUT", path, {}, {}, bytes(body), call.facts, call.limits))


def _step(
    call: Call, key: str, line: bytes, timeout_s: float, name: dict[str, str]
) -> tuple[Get, Put]:
    """Return the read and the write of a key, which has no value yet."""
    if not next(iter(name.values())):
        raise malformed(call, "the key is empty: it has 1 to 1024 bytes")
    query = {"w": call.query.get("w", "quorum")}
    plain = Call("PUT", {}, query, {}, b"", call.facts, call.limits)
    asked = about_key(plain, call.facts(), key, Token(), timeout_s)
    get = Get(
        key,
        Mode.SIBLINGS,
        copies=wanted("quorum", asked.copies),
        wait_s=timeout_s,
        timeout_s=timeout_s,
        raw=True,
    )
    identity = hash_of(line.strip())
    put = Put(
        key,
        None,
        Mode.SIBLINGS,
        level=write_level_of(asked),
        wait_s=timeout_s,
        timeout_s=timeout_s,
        identity=f"{identity}.{identity}",
        hinted=True,
    )
    return get, put


# ------------------------------------------------------------------ values
def _step_of_value(call: Call, said: ValueLine, line: bytes, timeout_s: float) -> ImportStep:
    key = checked_key(call, said.key)
    headers = {"Content-Type": said.content_type, **{META + n: t for n, t in said.meta.items()}}
    body = _bytes_of(call, said)
    put_call = Call("PUT", {"key": key}, {}, headers, body, call.facts, call.limits)
    value, labels = value_of(put_call), labels_of(put_call)
    expires = round(said.expires_at * 1000)
    name = {"key": key}
    get, put = _step(call, key, line, timeout_s, name)
    put = replace(put, value=value, labels=labels, expires=expires)

    def is_there(found: Found) -> bool:
        shown = zip(found.values, map(_plain, found.labels), found.expires, strict=True)
        return (value, _plain(labels), expires) in shown

    return ImportStep(name, get, put, is_there)


def _plain(labels: Labels | None) -> Labels:
    return labels or USUAL


def _bytes_of(call: Call, said: ValueLine) -> bytes:
    if bool(said.value) == (said.value_base64 is not None):
        raise malformed(call, f"{NO_LINE}: it has one of value and value_base64")
    if said.value_base64 is not None:
        return said.value_base64
    if is_json_type(said.content_type):
        return bytes(said.value)
    return _text(said.value).encode()


# ------------------------------------------------------------------ counters and sets
def _step_of_counter(call: Call, said: CounterLine, line: bytes, timeout_s: float) -> ImportStep:
    key, name = COUNTERS + checked_key(call, said.counter), {"counter": said.counter}
    if abs(said.value) > COUNT_MAX:
        raise malformed(call, f"the value is {said.value}; expected an integer of 64 bits")
    get, put = _step(call, key, line, timeout_s, name)
    put = replace(put, change=StateChange(said.value))
    return ImportStep(name, get, put, lambda found: joined(key, found.values).is_there)


def _step_of_set(call: Call, said: SetLine, line: bytes, timeout_s: float) -> ImportStep:
    key, name = SETS + checked_key(call, said.set), {"set": said.set}
    elements = element_texts(said.elements)
    get, put = _step(call, key, line, timeout_s, name)

    def is_there(found: Found) -> bool:
        state: Any = joined(key, found.values)
        return bool(state.is_there and state.elements.issuperset(elements))

    return ImportStep(name, get, replace(put, change=StateChange(add=elements)), is_there)
