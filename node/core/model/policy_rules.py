"""What a policy makes of a request: what a read shows, what a write replaces, when a value expires.

The node that takes the request asks these functions, for the native API as in the simulator.
"""

from node.core.model.conditions import Mode
from node.core.model.policies import Policy


def shown_as(policy: Policy) -> Mode:
    """Return what a read shows: one value, or all siblings, which the answer may merge."""
    return Mode.LWW if policy.merge == "lww" else Mode.SIBLINGS


def mode_of_write(
    policy: Policy, *, has_context: bool, has_condition: bool, deletes: bool
) -> Mode | None:
    """Return what a write replaces, by what its client says that it has seen; None: it is refused.

    A write with a condition replaces what it names.
    """
    if has_context:
        return Mode.SIBLINGS
    blind = "replace" if has_condition else policy.blind
    if blind == "refuse" or (blind == "sibling" and deletes):
        return None
    return Mode.LWW if blind == "replace" else Mode.SIBLINGS


def expiry_of(policy: Policy, now_s: float, ttl_s: float | None = None) -> int:
    """Return when a value that is written now expires, by its client's `ttl_s` or else by the
    policy, in milliseconds since the epoch; 0: never."""
    lives_s = policy.ttl_s if ttl_s is None else ttl_s
    return int((now_s + lives_s) * 1000) if lives_s else 0
