"""GET, PUT, HEAD, PATCH and DELETE of one key.

A write replaces exactly what its context has seen; without a context, whatever its home holds, as
HTTP's PUT means it.  A read shows all concurrent values.
"""

from functools import partial

from msgspec.structs import replace

from node.api.contract import Ask, Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.native.answers import (
    say_delete,
    say_excluded,
    say_read,
    say_siblings,
    say_write,
)
from node.api.native.parameters import (
    BOOLEANS,
    KeyRequest,
    check_query,
    choice_of,
    conditions_of,
    context_sent,
    copies_of,
    expiry_of,
    identity_of,
    is_strict,
    labels_of,
    request_of,
    value_of,
    write_level_of,
)
from node.api.native.problems import PATH, dialect, explain, malformed, problem
from node.core.model.cluster_name import joined
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.policy_rules import mode_of_write, shown_as
from node.core.model.quorum import Level
from node.core.model.tags import tag_of
from node.core.protocol.operations import Found, Get, Put
from node.security.scopes import ApiScope

WANTED = (
    "the policy of this key wants to know what the client has seen: send the Kv-Context of a read "
    "(`none` for a new key), If-Match or If-None-Match"
)
NO_PAST = Past()
ON_MISS = ("wait", "fail", "stale")
METHODS = ("GET", "PUT", "PATCH", "DELETE")
READ_PARAMETERS = frozenset({"r", "strict", "timeout", "on-miss", "sibling", "envelope"})
WRITE_PARAMETERS = frozenset({"w", "strict", "timeout"})
PUT_PARAMETERS = WRITE_PARAMETERS | {"ttl"}


def key_values() -> Dialect:
    """Return the routes of single keys, and of the texts about problems."""
    return dialect(
        "kv",
        Route("GET", "/v1/kv/{key}", get_key, ApiScope.READ),
        Route("PUT", "/v1/kv/{key}", put_key, ApiScope.WRITE),
        Route("PATCH", "/v1/kv/{key}", patch_key, ApiScope.WRITE),
        Route("DELETE", "/v1/kv/{key}", delete_key, ApiScope.WRITE),
        *(Route(method, "/v1/kv/", refuse_no_key, scope_of(method)) for method in METHODS),
        Route("GET", PATH + "{kind}", explain, ApiScope.OPEN),
    )


def scope_of(method: str) -> ApiScope:
    return ApiScope.READ if method == "GET" else ApiScope.WRITE


def refuse_no_key(call: Call) -> Reply:
    raise malformed(call, "the key is empty: it has 1 to 1024 bytes")


def get_key(call: Call) -> Ask:
    check_query(call, READ_PARAMETERS)
    return read_of(request_of(call))


def read_of(asked: KeyRequest) -> Ask:
    """Return the read of a key, and what is said of its outcome."""
    call = asked.call
    is_strict(call)  # only its value is looked at: no read is answered from hints
    is_whole = choice_of(call, "envelope", BOOLEANS, "false") == "true"
    on_miss = choice_of(call, "on-miss", ON_MISS, "wait")
    copies = copies_of(asked)
    get = Get(
        asked.key,
        Mode.SIBLINGS if is_whole else shown_as(asked.policy),
        asked.token,
        copies=copies,
        wait_s=asked.timeout_s if on_miss == "wait" else 0.0,
        repair=copies > 1,
        check=copies == 1,
        timeout_s=asked.timeout_s,
        stale=on_miss == "stale",
        raw=True,
    )
    return Ask(get, partial(say_read, asked))


def put_key(call: Call) -> Ask:
    return put_of(_write_request(call, PUT_PARAMETERS))


def put_of(asked: KeyRequest) -> Ask:
    """Return the write of a value, and what is said of its outcome."""
    call, expires = asked.call, expiry_of(asked)
    put = _write(asked, value_of(call), labels_of(call), expires)
    return Ask(put, partial(say_write, asked, expires))


def delete_key(call: Call) -> Ask:
    asked = _write_request(call, WRITE_PARAMETERS)
    if call.body:
        raise malformed(call, "a DELETE has no body")
    return delete_of(asked)


def delete_of(asked: KeyRequest) -> Ask:
    """Return the delete of a value, and what is said of its outcome."""
    return Ask(_write(asked, None, None, 0), partial(say_delete, asked))


def patch_key(call: Call) -> Talk:
    """Give the value another instant at which it expires, without sending it."""
    asked = _write_request(call, PUT_PARAMETERS)
    if "ttl" not in call.query:
        raise malformed(call, "a PATCH sets how long the value lives: give ttl")
    if call.body:
        raise malformed(call, "a PATCH has no body: it keeps the value, and sets its ttl")
    if context_sent(asked) is not None:
        raise malformed(call, "a PATCH takes no Kv-Context: use If-Match to name what it keeps")
    return Talk(_prolonged(asked, write_level_of(asked), expiry_of(asked)))


def _prolonged(asked: KeyRequest, level: Level, expires: int) -> Steps:
    """Read the value and write it back with its new instant, over just what was read."""
    identity, timeout_s = identity_of(asked.call), asked.timeout_s
    get = Get(asked.key, shown_as(asked.policy), asked.token, raw=True, timeout_s=timeout_s)
    (read,) = yield (replace(get, wait_s=timeout_s, identity=identity),)
    if not isinstance(read, Found):
        return say_read(asked, read)
    if read.naming is None and conditions_of(asked).rejects(tag_of(read.shown)):
        return say_excluded(asked, read)
    if len(read.values) > 1:
        return say_siblings(asked, read)
    value, labels, token = read.values[0], read.labels[0], asked.token.joined(read.token)
    put = Put(
        asked.key, value, Mode.SIBLINGS, token, read.context, level, wait_s=timeout_s,
        labels=labels, timeout_s=timeout_s, expires=expires, identity=identity,
        hinted=not is_strict(asked.call),
    )  # fmt: skip
    (written,) = yield (put,)
    return say_write(asked, expires, written)


def _write_request(call: Call, parameters: frozenset[str]) -> KeyRequest:
    check_query(call, parameters)
    is_strict(call)  # refuse another value before anything is read
    if "Content-Range" in call.headers:
        raise malformed(call, "a part of a value cannot be written: send it whole")
    return request_of(call)


def _write(asked: KeyRequest, value: bytes | None, labels: Labels | None, expires: int) -> Put:
    seen, refuse_when = context_sent(asked), conditions_of(asked, absent=value is None)
    mode = mode_of_write(
        asked.policy,
        has_context=seen is not None,
        has_condition=refuse_when.asks_for_tag,
        deletes=value is None,
    )
    if mode is None:
        raise Refused(problem(asked.call, "context", WANTED))
    if value is None and seen is not None and not seen.past:
        raise malformed(asked.call, "a DELETE of what its client has not seen deletes nothing")
    past, token = NO_PAST, asked.token
    if seen is not None:
        past, token = seen.past, replace(token, name=joined(token.name, seen.cluster))
    return Put(
        asked.key,
        value,
        mode,
        token,
        past,
        write_level_of(asked),
        refuse_when,
        wait_s=asked.timeout_s,
        labels=labels,
        timeout_s=asked.timeout_s,
        expires=expires,
        identity=identity_of(asked.call),
        hinted=not is_strict(asked.call),
    )
