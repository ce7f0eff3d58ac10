"""What a request asks for: reads and checks its key, query and headers.

Every parameter that is unknown, repeated or out of its range is refused by name, so a misspelled
one is never ignored.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Collection
from functools import reduce
from hashlib import blake2b

import msgspec
import orjson

from node.api.contract import Call, Facts, Refused
from node.api.native.opaque import KeyContext, context_of, token_of
from node.api.native.problems import malformed, problem
from node.api.repeated_names import all_of
from node.core.model import policy_rules
from node.core.model.conditions import RefuseWhen
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.model.labels import Labels
from node.core.model.policies import Policy, policy_of
from node.core.model.quorum import AVAILABLE, Level, wanted
from node.core.model.tags import ANY_VALUE
from node.core.model.token import Malformed, Token

KEY_BYTES_MAX = 1024
TIMEOUT_S_MAX = 60.0
TTL_S_MAX = 10 * 366 * 86_400.0  # ten years
META = "kv-meta-"
META_MAX = 32
LABEL_BYTES_MAX = 8192
BINARY = "application/octet-stream"
JSON = "application/json"
IDEMPOTENCY_KEY_MAX = 128  # characters
IDENTITY_BYTES = 12  # of each of its two parts
NO_TOKEN = Token()
WANTED_HEADERS = ("Content-Type", "Kv-Context", "If-Match", "If-None-Match")
BOOLEANS = ("true", "false")
NOTHING_SEEN = "none"  # a context that has seen nothing of the key

ENTITY_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
WAIT = re.compile(r"\bwait\s*=\s*([^\s,;]+)")
SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")  # as programs write a number


class KeyRequest(msgspec.Struct, frozen=True):
    """What every request about one key says: the key, what its client has seen of all keys
    (`token`), and how long it waits; and the policy of the key and how many replicas have it, by
    what its node knew (`facts`) when the request came."""

    call: Call
    facts: Facts
    policy: Policy
    key: str
    copies: int  # of the key, in the current view
    token: Token
    timeout_s: float


def check_query(call: Call, names: Collection[str]) -> None:
    """Refuse a parameter that is unknown, or given twice."""
    for name in call.query:
        if name not in names:
            known = ", ".join(sorted(names)) or "none here"
            raise malformed(call, f"there is no parameter {name!r}; there are {known}")
        if len(all_of(call.query, name)) > 1:
            raise malformed(call, f"the parameter {name} is given more than once")


def request_of(call: Call) -> KeyRequest:
    key = checked_key(call, call.path["key"])
    return about_key(call, call.facts(), key, token_in(call), timeout_of(call))


def about_key(call: Call, facts: Facts, key: str, token: Token, timeout_s: float) -> KeyRequest:
    """Return the request about this key that is, or is a part of, what the client asks."""
    view, policy = facts.view, policy_of(facts.view.policies, key)
    copies = len(view.shard_of(slot_of_key(key)).members) if view.shards else 1
    return KeyRequest(call, facts, policy, key, copies, token, timeout_s)


def checked_key(call: Call, key: str, name: str = "the key") -> str:
    """Return the key, or the part of one, unless no key can be so."""
    size = len(key.encode())
    if size > KEY_BYTES_MAX:
        raise malformed(call, f"{name} has {size} bytes; the limit is {KEY_BYTES_MAX}")
    if "\0" in key:
        raise malformed(call, f"{name} has a NUL character")
    return key


def token_in(call: Call) -> Token:
    """Return what the client depends on; of several tokens all count."""
    if "Kv-Token" not in call.headers:
        return NO_TOKEN
    texts = [text for text in all_of(call.headers, "Kv-Token") if text]
    try:
        return reduce(Token.joined, map(token_of, texts), NO_TOKEN)
    except Malformed as error:
        raise malformed(call, f"Kv-Token is malformed: {error}") from error


def timeout_of(call: Call) -> float:
    """Return how long the client waits: `timeout`, or else `Prefer: wait`, or else the node's
    bound."""
    preferred = WAIT.search(call.headers.get("Prefer", ""))
    text = call.query.get("timeout", preferred[1] if preferred else None)
    if text is None:
        return min(call.limits.wait_s_max, TIMEOUT_S_MAX)
    return seconds_in(call, "timeout", text, TIMEOUT_S_MAX)


def seconds_in(call: Call, name: str, text: str, most_s: float) -> float:
    """Return a number of seconds, above 0 and at most this."""
    if not SECONDS.fullmatch(text) or not 0 < float(text) <= most_s:
        raise no_seconds(call, name, text, most_s)
    return float(text)


def no_seconds(call: Call, name: str, text: str, most_s: float) -> Refused:
    """Return the exception to raise for what is no such number of seconds."""
    words = f"{name} is {text!r}; expected a number of seconds above 0, up to {most_s:.0f}"
    return malformed(call, words)


def expiry_of(asked: KeyRequest) -> int:
    """Return when the value that is written expires, by `ttl` or by the policy, in milliseconds
    since the epoch; 0: never."""
    text = asked.call.query.get("ttl")
    ttl_s = None if text is None else seconds_in(asked.call, "ttl", text, TTL_S_MAX)
    return policy_rules.expiry_of(asked.policy, asked.facts.now, ttl_s)


def wants_minimal(call: Call) -> bool:
    """Whether the client wants no body in the answer to a write."""
    preferred = call.headers.get("Prefer", "").lower().replace(" ", "").replace('"', "")
    return "return=minimal" in preferred


def choice_of(call: Call, name: str, choices: Collection[str], default: str) -> str:
    """Return a parameter that has few values."""
    text = call.query.get(name, default)
    if text not in choices:
        raise malformed(call, f"{name} is {text!r}; expected {', '.join(choices)}")
    return text


def is_strict(call: Call) -> bool:
    """Whether only owners of the key count for a level, and no hints."""
    return choice_of(call, "strict", BOOLEANS, "false") == "true"


def write_level_of(asked: KeyRequest) -> Level:
    """Return how many replicas must have a write before it is answered."""
    level = asked.call.query.get("w", asked.policy.w)
    _wanted(asked, "w", level)
    return level


def copies_of(asked: KeyRequest) -> int:
    """Return how many replicas a read is made from."""
    return _wanted(asked, "r", asked.call.query.get("r", asked.policy.r))


def _wanted(asked: KeyRequest, name: str, level: Level) -> int:
    try:
        if level.isascii() and (name == "w" or level != AVAILABLE):
            return wanted(level, asked.copies)
    except ValueError:
        pass
    said = "the policy of the key says" if name not in asked.call.query else "it is"
    choices = "available, one, quorum, all" if name == "w" else "one, quorum, all"
    words = f"{name}: {said} {level!r}; expected {choices} or a number from 1 to {asked.copies}"
    raise malformed(asked.call, words)


def context_sent(asked: KeyRequest) -> KeyContext | None:
    """Return what the client has seen of the key; None if it does not say."""
    texts = all_of(asked.call.headers, "Kv-Context")
    if not texts:
        return None
    if len(texts) > 1:
        raise malformed(asked.call, "Kv-Context is given more than once")
    try:
        return KeyContext(Past()) if texts[0] == NOTHING_SEEN else context_of(asked.key, texts[0])
    except Malformed as error:
        raise malformed(asked.call, f"Kv-Context is malformed: {error}") from error


def conditions_of(asked: KeyRequest, *, absent: bool = False) -> RefuseWhen:
    """Return when a write is refused, by If-Match and If-None-Match; `absent`: also where the key
    has no value."""
    match = all_of(asked.call.headers, "If-Match")
    return RefuseWhen(
        absent=absent,
        other_than=tags_in(asked.call, "If-Match", is_strong=True) if match else None,
        one_of=tags_in(asked.call, "If-None-Match"),
        shown_as=policy_rules.shown_as(asked.policy),
    )


def tags_in(call: Call, name: str, *, is_strong: bool = False) -> tuple[str, ...]:
    """Return the entity tags in a header; `*` stands for any value.  A weak tag is never equal
    where strong ones are compared (RFC 9110, section 8.8.3.2)."""
    if name not in call.headers:
        return ()
    text = ",".join(all_of(call.headers, name)).strip()
    if not text:
        return ()
    if text == ANY_VALUE:
        return (ANY_VALUE,)
    if ENTITY_TAG.sub("", text).strip(", \t"):
        raise malformed(call, f'{name} is {text!r}; expected * or tags such as "abc"')
    found = ENTITY_TAG.findall(text)
    return tuple(tag for weak, tag in found if not (weak and is_strong))


def identity_of(call: Call) -> str:
    """Return the identity of a write by its `Idempotency-Key`: the same key and the same request
    have the same one, and the part before the dot is that of the key; empty without a key.  What
    differs from one try to the next does not count: the token, and how long the client waits."""
    names = all_of(call.headers, "Idempotency-Key")
    if not names:
        return ""
    if len(names) > 1:
        raise malformed(call, "Idempotency-Key is given more than once")
    name = names[0]
    if not 0 < len(name) <= IDEMPOTENCY_KEY_MAX or not name.isprintable():
        words = f"Idempotency-Key is {name!r}; expected 1 to {IDEMPOTENCY_KEY_MAX} characters"
        raise malformed(call, words)
    said = [(header, all_of(call.headers, header)) for header in WANTED_HEADERS]
    wanted = repr((call.method, call.query.get("ttl"), said, sorted(_meta_of(call).items())))
    request = wanted.encode("utf-8", "surrogateescape") + call.body
    return f"{hash_of(name.encode())}.{hash_of(request)}"


def hash_of(text: bytes) -> str:
    """Return a short text that stands for these bytes, as a part of an identity."""
    return urlsafe_b64encode(blake2b(text, digest_size=IDENTITY_BYTES).digest()).decode()


def labels_of(call: Call) -> Labels | None:
    """Return the content type and the client's own labels; None for plain JSON text."""
    content_type = call.headers.get("Content-Type") or BINARY
    meta = _meta_of(call)
    labels = Labels(content_type, meta, _is_json(content_type, call.body))
    if labels.size > LABEL_BYTES_MAX:
        raise _too_many(call, f"they have {labels.size} bytes; the limit is {LABEL_BYTES_MAX}")
    for text in (content_type, *meta.values()):
        if not text.isprintable():
            raise malformed(call, f"the header value {text!r} is not printable text")
    return None if labels.is_json and content_type == JSON and not meta else labels


def _meta_of(call: Call) -> dict[str, str]:
    meta: dict[str, str] = {}
    for name, text in call.headers.items():
        if name.lower().startswith(META):
            own = name[len(META) :]
            if not own:
                raise malformed(call, "the header Kv-Meta- has no name behind it")
            if own.lower() in map(str.lower, meta):
                raise malformed(call, f"the header {name} is given more than once")
            meta[own] = text
    if len(meta) > META_MAX:
        raise _too_many(call, f"there are {len(meta)}; the limit is {META_MAX}")
    return meta


def _too_many(call: Call, what: str) -> Refused:
    return Refused(problem(call, "labels", f"Kv-Meta headers are too large: {what}"))


def _is_json(content_type: str, body: bytes) -> bool:
    if content_type.partition(";")[0].strip().lower() != JSON:
        return False
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def value_of(call: Call) -> bytes:
    """Return the body, which is the value; refuse one that is too large."""
    limit = call.limits.value_bytes_max
    if len(call.body) > limit:
        words = f"the value has {len(call.body)} bytes; the limit is {limit}"
        raise Refused(problem(call, "too-large", words, limit=limit))
    return call.body
