"""The events of a watch as text.  (The WHATWG rules of server-sent events.)

change   the key shows these values now, or has shown them for a moment
delete   it shows none, for it was deleted
expire   it shows none, for its time is over
reset    changes may be missing between the events before and after this one
"""

from typing import Any

import orjson

from node.api.contract import Facts
from node.api.native.answers import shown_value
from node.api.native.opaque import token_text
from node.api.native.watch_order import Shown
from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.item import Item, Version
from node.core.model.keys import key_hash_of
from node.core.model.labels import Labels
from node.core.model.policies import policy_of
from node.core.model.policy_rules import shown_as
from node.core.model.tags import tag_of
from node.core.model.token import Token

JSON = "application/json"


def event_of(shown: Shown, number: str, facts: Facts) -> bytes:
    """Return the event of a change; `number` is its id."""
    change, now_ms = shown.change, facts.now * 1000
    versions = _shown_of(shown.item.at(now_ms), change.key, facts)
    said: dict[str, Any] = {"key": change.key}
    if versions:
        said["etag"] = f'"{tag_of(versions)}"'
        siblings = [_sibling(dot, version, shown.sizes, facts) for dot, version in versions.items()]
        said |= siblings[0] if len(siblings) == 1 else {"siblings": siblings}
    elif shown.is_overwritten:
        said["overwritten"] = True
    named = dict(versions)
    if change.version is not None:
        named[change.dot] = change.version
    said["token"] = token_text(_token_of(change.key, named, facts))
    return _event(_kind_of(shown, versions), number, said)


def reset_event(number: str, why: str, token: str) -> bytes:
    """Return the event that says that changes may be missing."""
    return _event("reset", number, {"reason": why, "token": token})


def id_alone(number: str) -> bytes:
    """Return a block that is no event, and tells how far its client has come."""
    return f"id: {number}\n\n".encode() if number else b": \n\n"


def _event(kind: str, number: str, said: dict[str, Any]) -> bytes:
    named = f"id: {number}\n".encode() if number else b""
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), named, orjson.dumps(said))


def _shown_of(item: Item, key: str, facts: Facts) -> dict[Dot, Version]:
    """The versions that a reader of the key sees, the newest first."""
    order = sorted(item.shown(), key=item.rank, reverse=True)
    if shown_as(policy_of(facts.view.policies, key)) is Mode.LWW:
        order = order[:1]
    return {dot: item.versions[dot] for dot in order}


def _kind_of(shown: Shown, versions: dict[Dot, Version]) -> str:
    if versions or shown.is_overwritten:
        return "change"
    version = shown.change.version
    return "expire" if version is not None and version.expires else "delete"


def _sibling(dot: Dot, version: Version, sizes: dict[Dot, int], facts: Facts) -> dict[str, Any]:
    labels = version.labels or Labels(JSON, is_json=True)
    size, value = sizes.get(dot, 0), version.value or b""
    return {
        "id": tag_of((dot,)),
        "content_type": labels.content_type,
        **({"size": size} if size else shown_value(value, labels)),
        "meta": labels.meta,
        "written_at": version.timestamp[0] / 1000,
        "expires_at": version.expires / 1000 if version.expires else None,
        "node": facts.node_of(dot[0]),
    }


def _token_of(key: str, versions: dict[Dot, Version], facts: Facts) -> Token:
    """A token that names these writes: a read with it shows them, or what has replaced them."""
    exact = {dot: key_hash_of(key, version.lww) for dot, version in versions.items()}
    token = Token({}, exact, view=facts.view.id)
    return token.given_as(facts.cluster, facts.now)
