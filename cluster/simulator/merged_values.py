"""Values that policies merge: JSON arrays and numbers, on the keys of the native API.

A client that has read arrays writes their union with an element of its own.  So an element that was
acknowledged stays, as long as its key is not deleted, nothing expires, and no client replaces what
it has not seen.
"""

import json
import re
from collections.abc import Iterable

from cluster.checker.history import Operation
from cluster.simulator.invariants import ViolationError
from cluster.simulator.keys import PADDING
from node.api.native.merging import merged
from node.core.model.policies import Policy
from node.core.protocol.operations import Found

NUMBER = re.compile(r"\d+")


def is_of_arrays(key: str) -> bool:
    """Whether the values of this key are arrays; those of the others are numbers."""
    return int(key[1:].partition(".")[0]) % 4 == 1


def elements_of(values: Iterable[str]) -> set[int]:
    """Return the numbers in these values, each of which names the operation that wrote it."""
    return {int(text) for value in values for text in NUMBER.findall(value)}


def value_of(number: int, key: str, seen: Operation | None) -> str:
    """Return the value of this operation, whose client has seen what another one says."""
    padding = " " * PADDING[number % len(PADDING)]
    if not is_of_arrays(key):
        return f"{number}{padding}"
    values = () if seen is None else (*seen.values, *filter(None, [seen.value]))
    return f"[{','.join(map(str, (*sorted(elements_of(values)), number)))}]{padding}"


def judge(followed: Policy, promised: Policy, read: Operation, found: Found) -> None:
    """Demand that several values are merged as the policy of the view says."""
    if len(found.values) < 2:
        return
    shown = merged(followed, found)
    texts = [value.decode() for value in found.values]
    if is_of_arrays(read.key):
        is_right = shown is None
        if promised.merge == "union":
            is_right = shown is not None and sorted(json.loads(shown)) == sorted(elements_of(texts))
    else:
        numbers = sorted(map(int, texts))
        wanted = {"max": numbers[-1], "min": numbers[0]}.get(promised.merge)
        is_right = (None if shown is None else int(shown)) == wanted
    if not is_right:
        detail = f"#{read.id} shows {shown!r} for {texts} under {promised}"
        raise ViolationError("MergedWrongly", detail)
