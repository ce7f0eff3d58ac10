"""How keys of a prefix are treated where a call does not say: as values, and as calls."""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from coterie.answers import document_in, unexpected
from coterie.calls import Call, ReadLevel, WriteLevel
from coterie.steps import Answer

Merge: TypeAlias = Literal["siblings", "lww", "union", "max", "min"]
Blind: TypeAlias = Literal["replace", "sibling", "refuse"]
PATH = "/v1/policies"


@dataclass(frozen=True, slots=True)
class Policy:
    """How the keys that begin with `prefix` are treated; the longest prefix that fits counts.

    `merge`: what a read shows of several values.  `blind`: what a write without a context does.
    `w`, `r`: the levels of calls that name none.  `ttl`: how many seconds values live.
    """

    prefix: str = ""
    merge: Merge = "siblings"
    blind: Blind = "replace"
    w: WriteLevel = "available"
    r: ReadLevel = "one"
    ttl: float | None = None

    def document(self) -> dict[str, Any]:
        """Return the policy as nodes take it."""
        fields = {"merge": self.merge, "blind": self.blind, "w": self.w, "r": self.r}
        return fields if self.ttl is None else {**fields, "ttl": self.ttl}


def policies() -> Call[list[Policy]]:
    return _call("GET", None, None)


def set_policy(policy: Policy) -> Call[list[Policy]]:
    return _call("PUT", policy.prefix, json.dumps(policy.document()).encode())


def remove_policy(prefix: str) -> Call[list[Policy]]:
    return _call("DELETE", prefix, None)


def _call(method: str, prefix: str | None, body: bytes | None) -> Call[list[Policy]]:
    """Return a call of all policies (None), or of that of a prefix; done twice it does the
    same."""
    return Call(
        method=method,
        key="",
        query=(),
        headers=(),
        read=_policies_in,
        body=body,
        is_write=prefix is not None,
        place=f"{PATH}/{quote(prefix, safe='')}" if prefix else PATH,
        is_timed=False,
        is_safe_twice=True,
    )


def _policies_in(answer: Answer) -> list[Policy]:
    document = document_in(answer)
    try:
        return [_policy(dict(each)) for each in document["policies"]]
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected(answer, f"this is no list of policies: {error!r}") from error


def _policy(said: dict[str, Any]) -> Policy:
    levels = {name: _level(said.pop(name)) for name in ("w", "r")}
    return Policy(**said, **levels)


def _level(text: str) -> Any:
    return int(text) if text.isdecimal() else text
