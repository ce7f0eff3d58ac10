"""From the JSON form of a key, as parts of answers have it, to what calls return: in bulks and in
snapshots.
"""

from collections.abc import Mapping
from typing import Any

from coterie.answers import header_of, one_of, siblings_in
from coterie.errors import Absent
from coterie.resolvers import Resolver
from coterie.steps import Answer
from coterie.values import Value, Written, encoded


def shown_in(answer: Answer, document: Mapping[str, Any], resolve: Resolver | None) -> Value:
    """Read the JSON form of a key that is a part of an answer; raise Absent or Conflict."""
    key, context = str(document["key"]), str(document["context"])
    siblings = siblings_in(answer, document)
    if not siblings:
        raise Absent("the key has no value", context=context)
    first = siblings[0]
    value, its_type, meta = first.value, first.content_type, first.meta
    if len(siblings) > 1:
        value = one_of(key, siblings, context, resolve)
        its_type, meta = encoded(value)[1], {}
    instants = [each.expires for each in siblings if each.expires is not None]
    return Value(
        key=key,
        value=value,
        raw=encoded(value)[0],
        content_type=its_type,
        etag=first.etag if len(siblings) == 1 else "",
        context=context,
        meta=meta,
        expires=min(instants, default=None),
        siblings=len(siblings),
        reads=0,
        copies=0,
        missing=(),
        served_by=header_of(answer, "kv-served-by"),
    )


def line_written(answer: Answer, document: Mapping[str, Any]) -> Written:
    """Read what a bulk says of a write that is done."""
    return Written(
        key=str(document["key"]),
        created=document["status"] == 201,
        etag=document["etag"] or "",
        context=str(document["context"]),
        expires=None,
        siblings=0,
        acks=int(document["acks"]),
        copies=int(document["copies"]),
        hints=int(document.get("hints", 0)),
        served_by=header_of(answer, "kv-served-by"),
    )
