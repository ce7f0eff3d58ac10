"""Make one value of several: by a name, or by a function of the list of siblings."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from coterie.values import Sibling

Resolver: TypeAlias = Literal["union", "lww", "max", "min"] | Callable[[list[Sibling]], Any]


class Unresolvable(Exception):
    """The values are not what the resolver is for."""


def resolved(resolve: Resolver, siblings: list[Sibling]) -> Any:
    """Return the one value; raise Unresolvable, or what a function of the caller raises."""
    if callable(resolve):
        return resolve(siblings)
    if resolve not in BY_NAME:
        raise ValueError(f"resolve is {resolve!r}; expected {', '.join(BY_NAME)} or a function")
    return BY_NAME[resolve](siblings)


def union(siblings: Sequence[Sibling]) -> list[Any]:
    """Return a list of the elements of all lists; elements are equal if their JSON is."""
    elements: dict[str, Any] = {}
    for sibling in siblings:
        if not isinstance(sibling.value, list):
            raise Unresolvable(f"union is for lists; a value is {type(sibling.value).__name__}")
        for element in sibling.value:
            elements.setdefault(json.dumps(element), element)
    return list(elements.values())


def lww(siblings: Sequence[Sibling]) -> Any:
    """Return the value that was written last, by the clocks of the nodes."""
    return max(siblings, key=lambda each: (each.written_at, each.id)).value


def _numbers(siblings: Sequence[Sibling]) -> list[float]:
    values = [sibling.value for sibling in siblings]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unresolvable(f"max and min are for numbers; a value is {type(value).__name__}")
    return values


BY_NAME: dict[str, Callable[[Sequence[Sibling]], Any]] = {
    "union": union,
    "lww": lww,
    "max": lambda siblings: max(_numbers(siblings)),
    "min": lambda siblings: min(_numbers(siblings)),
}
