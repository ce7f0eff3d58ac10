"""GET, POST and DELETE of counters and sets: from requests to changes, and from states to answers.

Each kind is a row of a table: where its keys are, what a body changes, and what an answer shows.
An addition needs nothing but a home.  A remove and a delete take what their client has seen, so
their home first gets what the token names.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec.structs import replace

from node.api.contract import Ask, Call, Dialect, Reply, Route
from node.api.native.answers import (
    quoted,
    read_headers,
    say_delete,
    say_otherwise,
    write_headers,
)
from node.api.native.key_values import ON_MISS, refuse_no_key, scope_of
from node.api.native.parameters import (
    KeyRequest,
    about_key,
    check_query,
    checked_key,
    choice_of,
    copies_of,
    identity_of,
    is_strict,
    tags_in,
    timeout_of,
    token_in,
    wants_minimal,
    write_level_of,
)
from node.api.native.problems import dialect, malformed, problem
from node.core.model.changes import StateChange
from node.core.model.conditions import Mode, RefuseWhen, Scope
from node.core.model.counters import COUNT_MAX, Counter
from node.core.model.element_sets import ElementSet
from node.core.model.keys import COUNTERS, SETS
from node.core.model.merged_values import joined
from node.core.model.policies import policy_of
from node.core.model.tags import is_among, tag_of
from node.core.protocol.operations import Found, Get, Outcome, Put, Stored

READ_PARAMETERS = frozenset({"r", "strict", "timeout", "on-miss"})
WRITE_PARAMETERS = frozenset({"w", "strict", "timeout"})
UNUSED = ("Kv-Context", "If-Match")  # a change replaces nothing that its client has to name
EXACT_FLOAT_MAX = 2.0**53  # up to here a float that is whole is the integer
ORDER = {type(None): 0, bool: 1, int: 2, float: 2, str: 3}  # of the elements of a set

Scalar = str | int | float | bool | None


class CounterBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a client adds to a counter; 5.0 is 5."""

    add: int | float


class SetBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a client removes from a set, and then adds to it."""

    add: list[Scalar] = []
    remove: list[Scalar] = []


class MergedKind(NamedTuple):
    """A kind of merged value: the path and the namespace of its keys, what a body changes, and the
    fields of an answer."""

    path: str
    namespace: str
    change_of: Callable[[Call], StateChange]
    fields_of: Callable[[Any], dict[str, object]]


def merged_keys() -> Dialect:
    """Return the routes of counters and sets."""
    routes = [
        Route(method, kind.path + key, handler if key else refuse_no_key, scope_of(method))
        for kind in KINDS
        for key in ("{key}", "")
        for method, handler in (
            ("GET", partial(get, kind)),
            ("POST", partial(change, kind)),
            ("DELETE", partial(reset, kind)),
        )
    ]
    return dialect("merged", *routes)


# ------------------------------------------------------------------ requests
def get(kind: MergedKind, call: Call) -> Ask:
    """Read all siblings; the answer joins them."""
    asked = _request_of(kind, call, READ_PARAMETERS)
    on_miss = choice_of(call, "on-miss", ON_MISS, "wait")
    copies = copies_of(asked)
    read = Get(
        asked.key,
        Mode.SIBLINGS,
        asked.token,
        copies=copies,
        wait_s=asked.timeout_s if on_miss == "wait" else 0.0,
        repair=copies > 1,
        check=copies == 1,
        timeout_s=asked.timeout_s,
        stale=on_miss == "stale",
        raw=True,
    )
    return Ask(read, partial(_say_read, kind, asked))


def change(kind: MergedKind, call: Call) -> Ask:
    """Carry out what the body says."""
    asked = _request_of(kind, call, WRITE_PARAMETERS)
    wanted = kind.change_of(call)
    refuse_when = RefuseWhen(unmet=Scope.KEY if wanted.remove else None)
    return Ask(_put(asked, wanted, refuse_when), partial(_say_change, kind, asked))


def reset(kind: MergedKind, call: Call) -> Ask:
    """Delete what the home has seen; a change beside it stays."""
    asked = _request_of(kind, call, WRITE_PARAMETERS)
    if call.body:
        raise malformed(call, "a DELETE has no body")
    refuse_when = RefuseWhen(unmet=Scope.KEY, absent=True)
    return Ask(_put(asked, StateChange(resets=True), refuse_when), partial(_say_reset, asked))


def _request_of(kind: MergedKind, call: Call, parameters: frozenset[str]) -> KeyRequest:
    check_query(call, parameters)
    is_strict(call)
    for name in UNUSED + (("If-None-Match",) if call.method != "GET" else ()):
        if name in call.headers:
            raise malformed(call, f"{name} says nothing of a counter or a set: leave it out")
    key, facts = checked_key(call, call.path["key"]), call.facts()
    asked = about_key(call, facts, kind.namespace + key, token_in(call), timeout_of(call))
    return replace(asked, policy=policy_of(facts.view.policies, key))


def _put(asked: KeyRequest, wanted: StateChange, refuse_when: RefuseWhen) -> Put:
    return Put(
        asked.key,
        None,
        Mode.SIBLINGS,
        asked.token,
        level=write_level_of(asked),
        refuse_when=refuse_when,
        wait_s=asked.timeout_s,
        timeout_s=asked.timeout_s,
        identity=identity_of(asked.call),
        hinted=not is_strict(asked.call),
        change=wanted,
    )


# ------------------------------------------------------------------ answers
def _say_read(kind: MergedKind, asked: KeyRequest, outcome: Outcome) -> Reply:
    if not isinstance(outcome, Found):
        return _without_context(say_otherwise(asked, outcome))
    state, tag = joined(asked.key, outcome.values), tag_of(outcome.shown)
    headers = _less_context(read_headers(asked, outcome))
    if not state.is_there:
        return problem(asked.call, "absent", "the key has no value", headers)
    headers["ETag"] = quoted(tag)
    if is_among(tag, tags_in(asked.call, "If-None-Match")):
        return Reply(304, b"", headers)
    return Reply(200, _body(asked, kind.fields_of(state)), headers)


def _say_change(kind: MergedKind, asked: KeyRequest, outcome: Outcome) -> Reply:
    """Answer with the value after the change, as the home of the key sees it."""
    if not isinstance(outcome, Stored):
        return _without_context(say_otherwise(asked, outcome))
    headers = _less_context(write_headers(asked, outcome))
    headers["ETag"] = quoted(tag_of(outcome.shown))
    if wants_minimal(asked.call):
        return Reply(204, b"", {**headers, "Preference-Applied": "return=minimal"})
    fields = {
        **kind.fields_of(joined(asked.key, (outcome.state,))),
        "token": headers["Kv-Token"],
        "acks": outcome.acks,
        "copies": outcome.copies,
    }
    return Reply(200, _body(asked, fields), headers)


def _say_reset(asked: KeyRequest, outcome: Outcome) -> Reply:
    return _without_context(say_delete(asked, outcome))


def _body(asked: KeyRequest, fields: Mapping[str, object]) -> bytes:
    return orjson.dumps({"key": asked.call.path["key"], **fields})


def _without_context(reply: Reply) -> Reply:
    return replace(reply, headers=_less_context(reply.headers))


def _less_context(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what stands for the versions of the key: no request about them takes it."""
    return {name: text for name, text in headers.items() if name != "Kv-Context"}


# ------------------------------------------------------------------ counters
_counter_body = msgspec.json.Decoder(CounterBody).decode


def _change_of_counter(call: Call) -> StateChange:
    try:
        amount = _counter_body(call.body).add
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(call, f'the body is no {{"add":NUMBER}}: {error}') from error
    if abs(amount) > COUNT_MAX or amount != int(amount):
        raise malformed(call, f"add is {amount}; expected an integer of 64 bits")
    return StateChange(int(amount))


def _fields_of_counter(counter: Counter) -> dict[str, object]:
    return {"value": orjson.Fragment(str(counter.value))}  # of any length


# ------------------------------------------------------------------ sets
_set_body = msgspec.json.Decoder(SetBody).decode


def _change_of_set(call: Call) -> StateChange:
    try:
        body = _set_body(call.body)
        add, remove = element_texts(body.add), element_texts(body.remove)
    except (msgspec.MsgspecError, UnicodeDecodeError, orjson.JSONEncodeError) as error:
        words = 'the body is no {"add":[...],"remove":[...]} of texts, numbers, booleans and null'
        raise malformed(call, f"{words}: {error}") from error
    return StateChange(add=add, remove=remove)


def element_texts(elements: Iterable[Scalar]) -> tuple[str, ...]:
    """Return each element once, as JSON text that is the same for equal elements."""
    return tuple(dict.fromkeys(orjson.dumps(_plain(each)).decode() for each in elements))


def _plain(element: Scalar) -> Scalar:
    """Return a number that is whole as an integer: 1.0 is 1."""
    if isinstance(element, float) and element.is_integer() and abs(element) <= EXACT_FLOAT_MAX:
        return int(element)
    return element


def fields_of_set(elements: ElementSet) -> dict[str, object]:
    """Return the elements in their order."""
    found: list[Scalar] = [orjson.loads(text) for text in elements.elements]
    return {"elements": sorted(found, key=_place)}


def _place(element: Scalar) -> tuple[int, Any]:
    """Return where an element stands: null, booleans, numbers, then texts by their characters."""
    return ORDER[type(element)], element if element is not None else 0


KINDS = COUNTER, SET = (
    MergedKind("/v1/counters/", COUNTERS, _change_of_counter, _fields_of_counter),
    MergedKind("/v1/sets/", SETS, _change_of_set, fields_of_set),
)
