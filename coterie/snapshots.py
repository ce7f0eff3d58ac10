"""Several keys as of one causal moment."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from coterie.answers import document_in, unexpected
from coterie.calls import Call
from coterie.documents import shown_in
from coterie.errors import Absent, Conflict
from coterie.resolvers import Resolver
from coterie.steps import Answer
from coterie.values import Value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What several keys show, of which nothing depends on a write of these keys that is missing.

    `snapshot[key]` is the value of a key; it raises Absent or Conflict as `get` does.  `values` has
    those that have one value, by key, and `errors` what is raised for the others.
    """

    values: Mapping[str, Value]
    errors: Mapping[str, Absent | Conflict]

    def __getitem__(self, key: str) -> Value:
        if key in self.errors:
            raise self.errors[key]
        return self.values[key]

    def contexts(self) -> dict[str, str]:
        """Return what was seen of each key."""
        shown: dict[str, Value | Absent | Conflict] = {**self.values, **self.errors}
        return {key: each.context for key, each in shown.items()}


def snapshot(keys: Sequence[str], resolve: Resolver | None) -> Call[Snapshot]:
    """Raises TypeError for one text, which is a sequence of texts, too."""
    if isinstance(keys, str):
        raise TypeError(f"keys is the text {keys!r}; expected a list of keys")
    return Call(
        method="POST",
        key="",
        query=(),
        headers=(("Content-Type", "application/json"),),
        read=partial(_snapshot_in, list(keys), resolve),
        body=json.dumps({"keys": list(keys)}).encode(),
        place="/v1/snapshot",
    )


def _snapshot_in(keys: list[str], resolve: Resolver | None, answer: Answer) -> Snapshot:
    said = document_in(answer).get("values")
    if not isinstance(said, list) or [str(each.get("key")) for each in said] != keys:
        raise unexpected(answer, "it has other keys than were asked for")
    values: dict[str, Value] = {}
    errors: dict[str, Absent | Conflict] = {}
    for key, document in zip(keys, said, strict=True):
        try:
            values[key] = shown_in(answer, document, resolve)
        except (Absent, Conflict) as error:
            errors[key] = error
    return Snapshot(values, errors)
