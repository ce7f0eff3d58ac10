"""From outcomes to answers.

One value is answered as its bytes, with its type and labels; several are answered as 300, with all
of them in a JSON document.  Tokens, contexts and tags are in headers of every answer that knows
them.
"""

import base64

import orjson

from node.api.contract import Call, Reply
from node.api.native.merging import merged
from node.api.native.opaque import KeyContext, context_text, token_text
from node.api.native.parameters import (
    JSON,
    KeyRequest,
    conditions_of,
    tags_in,
    wants_minimal,
)
from node.api.native.problems import problem
from node.api.parsing import missing_of
from node.core.model.item import Past
from node.core.model.labels import Labels
from node.core.model.tags import is_among, tag_of
from node.core.model.token import Token
from node.core.protocol.operations import (
    Absent,
    Found,
    Mismatch,
    Outcome,
    OutOfBounds,
    Overfull,
    Rejected,
    Reused,
    Stored,
    Unavailable,
    Unmet,
)

MANY_SIBLINGS = 25  # from so many on, answers say how many there are

# A browser that opens a value does not run it as a page of the node's own origin.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}

Headers = dict[str, str]


# ------------------------------------------------------------------ reads
def say_read(asked: KeyRequest, outcome: Outcome) -> Reply:
    """Answer a read: its value, its siblings, or why there is none."""
    if not isinstance(outcome, Found):
        return say_otherwise(asked, outcome)
    tag = tag_of(outcome.shown)
    headers = read_headers(asked, outcome)
    headers["ETag"] = quoted(tag)
    wanted = asked.call.query.get("sibling", "")
    if "If-Match" in asked.call.headers and conditions_of(asked).is_other(wanted or tag):
        return say_excluded(asked, outcome)
    if is_among(wanted or tag, tags_in(asked.call, "If-None-Match")):
        return Reply(304, b"", headers)
    if wanted:
        return _say_sibling(asked, headers, outcome, wanted)
    if asked.call.query.get("envelope") == "true":
        return Reply(200, envelope(asked, outcome), headers)
    if len(outcome.values) == 1:
        return _say_value(headers, outcome, 0)
    one = merged(asked.policy, outcome)
    if one is not None and len(one) <= asked.call.limits.value_bytes_max:
        return Reply(200, one, {**headers, "Kv-Siblings": str(len(outcome.values))})
    return Reply(300, envelope(asked, outcome), headers)


def say_excluded(asked: KeyRequest, found: Found) -> Reply:
    """Answer that a condition excludes what the key shows."""
    headers = {**read_headers(asked, found), "ETag": quoted(tag_of(found.shown))}
    words = f"the key shows versions at {found.served_by} that a condition excludes"
    return problem(asked.call, "condition", words, headers)


def say_siblings(asked: KeyRequest, found: Found) -> Reply:
    """Answer a PATCH that there are several values."""
    words = f"the key has {len(found.values)} values: write one in their place first"
    return problem(asked.call, "siblings", words, read_headers(asked, found))


def _say_value(headers: Headers, found: Found, place: int) -> Reply:
    labels = found.labels[place] or Labels(JSON)
    meta = {f"Kv-Meta-{name}": text for name, text in labels.meta.items()}
    return Reply(200, found.values[place], {**headers, **SAFE, **meta}, labels.content_type)


def _say_sibling(asked: KeyRequest, headers: Headers, found: Found, wanted: str) -> Reply:
    """Answer one of several values; the tag and the context are of this one, and so is what a
    write with them replaces."""
    for place, dot in enumerate(found.shown):
        if tag_of((dot,)) == wanted:
            named = {i: naming for i, naming in found.context.namings.items() if naming.dot == dot}
            seen = Past({}, {dot}, namings=named)
            alone = {"ETag": quoted(wanted), "Kv-Context": _context(asked, seen)}
            return _say_value({**headers, **alone}, found, place)
    words = f"the key has no sibling {wanted!r} now: read it without `sibling`"
    return problem(asked.call, "absent", words, headers)


def envelope(asked: KeyRequest, found: Found | Absent) -> bytes:
    """Return all values of a key as a JSON document, and what is seen of the key with them."""
    siblings = []
    if isinstance(found, Found):
        siblings = [_sibling(asked, found, place) for place in range(len(found.values))]
    context = _context(asked, found.context.by_name(found.dots))
    return orjson.dumps({"key": asked.key, "siblings": siblings, "context": context})


def _sibling(asked: KeyRequest, found: Found, place: int) -> dict[str, object]:
    dot, labels = found.shown[place], found.labels[place] or Labels(JSON, is_json=True)
    tag = tag_of((dot,))
    return {
        "id": tag,
        "etag": quoted(tag),
        "content_type": labels.content_type,
        **shown_value(found.values[place], labels),
        "meta": labels.meta,
        "written_at": found.timestamps[place][0] / 1000,  # seconds since the epoch
        "expires_at": found.expires[place] / 1000 if found.expires[place] else None,
        "node": asked.facts.node_of(dot[0]),
    }


def shown_value(value: bytes, labels: Labels) -> dict[str, object]:
    """Return a value inside a JSON document: JSON and text as they are, other bytes in base64."""
    if labels.is_json:
        return {"value": orjson.Fragment(value)}
    if labels.content_type.startswith("text/"):
        try:
            return {"value": value.decode()}
        except UnicodeDecodeError:
            pass
    return {"value_base64": base64.b64encode(value).decode()}


def read_headers(asked: KeyRequest, read: Found | Absent) -> Headers:
    headers = _seen(asked, read.token, read.context.by_name(read.dots), read.served_by)
    headers["Kv-Reads"] = f"{read.reads}/{asked.copies}"
    if read.missing:
        headers["Kv-Missing"] = missing_of(Unmet(read.missing))
    if isinstance(read, Found) and len(read.values) >= MANY_SIBLINGS:
        headers["Kv-Siblings"] = str(len(read.values))
    if isinstance(read, Found) and any(read.expires):
        headers["Kv-Expires"] = _instant(min(filter(None, read.expires)))
    return headers


# ------------------------------------------------------------------ writes
def say_write(asked: KeyRequest, expires: int, outcome: Outcome) -> Reply:
    """Answer a PUT: 201 where no value was known before, 200 otherwise."""
    if not isinstance(outcome, Stored):
        return say_otherwise(asked, outcome)
    headers = write_headers(asked, outcome)
    is_alone = outcome.shown == (outcome.dot,)
    if is_alone:  # the tag of more would stand for values that this client has not seen
        headers["ETag"] = quoted(tag_of(outcome.shown))
    if expires:
        headers["Kv-Expires"] = _instant(expires)
    if wants_minimal(asked.call):
        return Reply(204, b"", {**headers, "Preference-Applied": "return=minimal"})
    body = {
        "key": asked.key,
        "etag": headers.get("ETag"),
        "context": headers["Kv-Context"],
        "token": headers["Kv-Token"],
        "acks": outcome.acks,
        "copies": outcome.copies,
    }
    return Reply(200 if outcome.replaced else 201, orjson.dumps(body), headers)


def say_delete(asked: KeyRequest, outcome: Outcome) -> Reply:
    """Answer a DELETE: 204, or 404 where nothing was there."""
    if not isinstance(outcome, Stored):
        return say_otherwise(asked, outcome)
    return Reply(204, b"", write_headers(asked, outcome))


def write_headers(asked: KeyRequest, stored: Stored) -> Headers:
    context = stored.context.joined({}, {stored.dot})
    headers = {
        **_seen(asked, stored.token, context, stored.home),
        "Kv-Acks": f"{stored.acks}/{stored.copies}",
    }
    if stored.hints:
        headers["Kv-Hints"] = str(stored.hints)
    if len(stored.shown) > 1:
        headers["Kv-Siblings"] = str(len(stored.shown))
    return headers


# ------------------------------------------------------------------ all others
def say_otherwise(asked: KeyRequest, outcome: Outcome) -> Reply:
    """Answer with a problem; it gives the token back, so that a client can always keep the last."""
    match outcome:
        case Absent():
            return problem(
                asked.call, "absent", "the key has no value", read_headers(asked, outcome)
            )
        case Mismatch(shown_tag=tag, token=token, context=context, served_by=served_by):
            shown = {"ETag": quoted(tag)} if tag else {}
            shows = "a value that a condition excludes" if tag else "no value"
            words = f"the key shows {shows} at {served_by}"
            headers = {**_seen(asked, token, context, served_by), **shown}
            return problem(asked.call, "condition", words, headers)
        case _:
            return refusal_of(asked.call, asked.token, outcome)


def refusal_of(call: Call, token: Token, outcome: Outcome) -> Reply:
    """Return the problem that says why a request of any kind was not carried out."""
    seen = {"Kv-Token": token_text(token)}
    match outcome:
        case Unmet(missing=missing):
            entries = [{"actor": a, "have": h, "need": n} for a, (h, n) in missing.items()]
            words = "no replica that can be reached has all that the token depends on"
            return problem(call, "unmet", words, seen, missing=entries)
        case Unavailable(reason=reason, definite=definite, acks=acks, nodes=nodes):
            reached = {"acks": acks, "reached": nodes}
            return problem(call, "unavailable", reason, seen, definite=definite, **reached)
        case Overfull(reason=reason):
            return problem(call, "siblings", reason, seen)
        case OutOfBounds(reason=reason):
            return problem(call, "bounds", reason, seen)
        case Reused():
            words = "this Idempotency-Key was used for another write of the key"
            return problem(call, "reused", words, seen)
        case Rejected(reason=reason):
            return problem(call, "malformed", reason, seen)
        case _:
            raise AssertionError(f"{type(outcome).__name__} answers no request of this API")


def _seen(asked: KeyRequest, token: Token, context: Past, served_by: str) -> Headers:
    return {
        "Kv-Token": token_text(token),
        "Kv-Context": _context(asked, context),
        "Kv-Served-By": served_by,
    }


def _context(asked: KeyRequest, past: Past) -> str:
    past, cluster = asked.facts.packed(past), asked.facts.cluster
    return context_text(asked.key, KeyContext(past, cluster))


def _instant(milliseconds: int) -> str:
    """Return an instant in seconds since the epoch."""
    return f"{milliseconds / 1000:.3f}"


def quoted(tag: str) -> str:
    return f'"{tag}"'
