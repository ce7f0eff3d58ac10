"""The policies of prefixes: shown, set and removed.  A change is a view of its own, so all nodes
of one view have the same policies.
"""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any

import orjson

from node.api.contract import Call, Dialect, Refused, Reply, Route, Steps, Talk
from node.api.native.parameters import KEY_BYTES_MAX, TTL_S_MAX, check_query, no_seconds, seconds_in
from node.api.native.problems import dialect, malformed, problem
from node.api.parsing import is_whole
from node.api.repeated_names import RepeatedError, parsed
from node.api.view_change import adopting
from node.core.model.policies import (
    BLINDS,
    MERGES,
    Policies,
    Policy,
    with_policy,
    without_policy,
)
from node.core.model.quorum import AVAILABLE, Level
from node.core.model.view import Layout, View
from node.core.protocol.operations import Outcome, Request, Unavailable
from node.security.scopes import ApiScope

PATH = "/v1/policies"
TRIES = 5  # if other views come at the same time
FIELDS = frozenset({"merge", "blind", "w", "r", "ttl"})
DIGITS = re.compile(r"[1-9][0-9]{0,3}")
LEVELS = (AVAILABLE, "one", "quorum", "all")

Change = Callable[[Policies], Policies]


def policies() -> Dialect:
    """Return the routes of policies.  The path without a prefix is that of the empty prefix."""
    return dialect(
        "policies",
        Route("GET", PATH, show, ApiScope.READ),
        Route("PUT", PATH, put, ApiScope.ADMIN),
        Route("DELETE", PATH, delete, ApiScope.ADMIN),
        Route("PUT", PATH + "/{prefix}", put, ApiScope.ADMIN),
        Route("DELETE", PATH + "/{prefix}", delete, ApiScope.ADMIN),
    )


def show(call: Call) -> Reply:
    """Show all policies of this node's view."""
    return _shown(call.facts().view)


def _shown(view: View) -> Reply:
    shown = [shown_policy(policy) for policy in view.policies]
    return Reply(200, orjson.dumps({"view": str(view.id), "policies": shown}))


def shown_policy(policy: Policy) -> dict[str, Any]:
    """Return a policy as answers show it."""
    return {
        "prefix": policy.prefix,
        "merge": policy.merge,
        "blind": policy.blind,
        "w": policy.w,
        "r": policy.r,
        "ttl": policy.ttl_s or None,
    }


def put(call: Call) -> Talk:
    policy = policy_in(call)
    return Talk(_changed(call, lambda known: with_policy(known, policy)))


def adding(
    call: Call, policy: Policy
) -> Generator[Sequence[Request] | float, Sequence[Outcome], Reply | None]:
    """Set a policy of a prefix that has none; None: it has one, which stays."""
    if any(known.prefix == policy.prefix for known in call.facts().view.policies):
        return None
    try:
        return (yield from _changed(call, lambda known: with_policy(known, policy)))
    except Refused as refusal:
        return refusal.reply


def delete(call: Call) -> Talk:
    prefix = _prefix(call)
    return Talk(_changed(call, lambda known: without_policy(known, prefix)))


def _changed(call: Call, change: Change) -> Steps:
    """Propose a view with the changed policies, and say which policies there are then."""
    if not call.facts().view.number:
        return problem(call, "unavailable", "this node has not been told its view yet")

    def layout_of(view: View) -> Layout:
        return view.with_policies(change(view.policies))

    try:
        outcome = yield from adopting(call, layout_of, TRIES)
    except ValueError as error:
        raise malformed(call, str(error)) from error
    if isinstance(outcome, View):
        return _shown(outcome)
    if isinstance(outcome, Unavailable):
        return problem(call, "unavailable", outcome.reason, definite=outcome.definite)
    words = "other views came at the same time; try again"
    return problem(call, "unavailable", words)


# ------------------------------------------------------------------ reading a policy
def _prefix(call: Call) -> str:
    prefix = call.path.get("prefix", "")
    check_query(call, ())
    if len(prefix.encode()) > KEY_BYTES_MAX or "\0" in prefix:
        raise malformed(call, f"no key begins so: a key has {KEY_BYTES_MAX} bytes and no NUL")
    return prefix


def policy_in(call: Call) -> Policy:
    """Read the policy in a body; its prefix is that of the path."""
    try:
        fields = orjson.loads(call.body)
        parsed(call.body)
    except (orjson.JSONDecodeError, RepeatedError, RecursionError) as error:
        raise malformed(call, f"the policy is not JSON: {error}") from error
    if type(fields) is not dict:
        raise malformed(call, "the policy is not a JSON object")
    prefix = _prefix(call)
    if fields.pop("prefix", prefix) != prefix:
        raise malformed(call, "the prefix in the body is another than that of the path")
    if unknown := sorted(fields.keys() - FIELDS):
        known = ", ".join(sorted(FIELDS))
        raise malformed(call, f"a policy has no field {unknown[0]!r}; it has {known}")
    usual, ttl = Policy(""), fields.get("ttl")
    policy = Policy(
        prefix,
        _one_of(call, "merge", fields.get("merge", usual.merge), MERGES),
        _one_of(call, "blind", fields.get("blind", usual.blind), BLINDS),
        _level(call, "w", fields.get("w", usual.w)),
        _level(call, "r", fields.get("r", usual.r)),
        _seconds(call, ttl) if ttl is not None else 0.0,
    )
    if policy.r == AVAILABLE:
        raise malformed(call, "r is 'available'; expected one, quorum, all or a number")
    return policy


def _seconds(call: Call, ttl: Any) -> float:
    """Read how long values live: a number, and no text that looks like one."""
    if type(ttl) not in (int, float):
        raise no_seconds(call, "ttl", str(ttl), TTL_S_MAX)
    return seconds_in(call, "ttl", str(ttl), TTL_S_MAX)


def _one_of(call: Call, name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        said = orjson.dumps(value).decode()
        raise malformed(call, f"{name} is {said}; expected {', '.join(choices)}")
    return str(value)


def _level(call: Call, name: str, value: Any) -> Level:
    """Read a level.  Once shards are smaller, a larger number is refused with each request."""
    text = str(int(value)) if is_whole(value) else value
    view = call.facts().view
    most = max((len(shard.members) for shard in view.shards), default=1)
    if text in LEVELS or (isinstance(text, str) and DIGITS.fullmatch(text) and int(text) <= most):
        return str(text)
    levels = LEVELS if name == "w" else LEVELS[1:]
    words = f"expected {', '.join(levels)} or a number from 1 to {most}"
    raise malformed(call, f"{name} is {orjson.dumps(value).decode()}; {words}")
