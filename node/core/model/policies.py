"""Policies: how the native API treats the keys of a prefix, where a request does not say.

A view carries them, so all nodes of one view have the same.  Of several that fit a key, the one
with the longest prefix counts.  What a policy makes of a request is in `policy_rules`.
"""

from collections.abc import Iterable

import msgspec

from node.core.model.quorum import AVAILABLE, Level

POLICIES_MAX = 100
MERGES = ("siblings", "lww", "union", "max", "min")
BLINDS = ("replace", "sibling", "refuse")


class Policy(msgspec.Struct, array_like=True, frozen=True):
    """The policy of one prefix.

    `merge`: what a read shows of several values.  `blind`: what a write without a context does:
    replace what its home holds, stand beside it, or be refused.  `w`, `r`: the levels of requests
    that name none.  `ttl_s`: how long values live; 0: for ever.
    """

    prefix: str
    merge: str = "siblings"
    blind: str = "replace"
    w: Level = AVAILABLE
    r: Level = "one"
    ttl_s: float = 0.0


Policies = tuple[Policy, ...]


def policy_of(policies: Iterable[Policy], key: str) -> Policy:
    """The policy of a key: that of the longest prefix, or the default one."""
    fitting = [policy for policy in policies if key.startswith(policy.prefix)]
    return max(fitting, key=lambda policy: len(policy.prefix), default=Policy(""))


def with_policy(policies: Policies, policy: Policy) -> Policies:
    """These policies with this one in the place of its prefix.  ValueError: there are too many."""
    others = without_policy(policies, policy.prefix)
    if len(others) >= POLICIES_MAX:
        raise ValueError(f"there are {len(others)} policies; the limit is {POLICIES_MAX}")
    return tuple(sorted((*others, policy), key=lambda each: each.prefix))


def without_policy(policies: Policies, prefix: str) -> Policies:
    """These policies without that of this prefix."""
    return tuple(policy for policy in policies if policy.prefix != prefix)
