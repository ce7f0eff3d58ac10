"""Several values shown as one, where a policy says so: a union of arrays, a largest, a smallest.

The merged value is made for the answer alone, and nothing is stored.  The context of the answer
covers all values that went into it, so a write with that context stores the merged value.
"""

import json
from collections.abc import Sequence

import msgspec

from node.api.json_values import compact
from node.core.model.labels import Labels
from node.core.model.policies import Policy
from node.core.protocol.operations import Found

_elements_of = msgspec.json.Decoder(list[msgspec.Raw]).decode


def merged(policy: Policy, found: Found) -> bytes | None:
    """Return several JSON values as one; None where they stay siblings: by the policy, or because
    one is not of the kind that it merges."""
    if not all(map(_is_json, found.labels)):
        return None
    oldest_first = found.values[::-1]
    if policy.merge == "union":
        return _union(oldest_first)
    if policy.merge in ("max", "min"):
        return _extreme(oldest_first, is_max=policy.merge == "max")
    return None


def _is_json(labels: Labels | None) -> bool:
    return labels is None or labels.is_json


def _union(values: Sequence[bytes]) -> bytes | None:
    """Return one array with each element once, in the order of the first that had it."""
    elements: dict[bytes, bytes] = {}
    for value in values:
        try:
            for element in _elements_of(value):
                text = bytes(element)
                elements.setdefault(compact(text), text)
        except msgspec.MsgspecError:
            return None
    return b"[%b]" % b",".join(elements.values())


def _extreme(values: Sequence[bytes], *, is_max: bool) -> bytes | None:
    """Return the largest or the smallest number, as its client wrote it."""
    try:
        numbers = [json.loads(value) for value in values]  # keeps integers of any length
    except ValueError:  # of more digits than Python reads
        return None
    if not all(type(number) in (int, float) for number in numbers):
        return None
    choose = max if is_max else min
    return values[choose(range(len(values)), key=numbers.__getitem__)]
