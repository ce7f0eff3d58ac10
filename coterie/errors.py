"""What calls raise.

Every error is a `CoterieError`.  `definite` says that certainly nothing was written; a read writes
nothing, so its errors are always definite.  `problem` is the document with which a node refused,
if one did.  (RFC 9457; the kinds are those of docs/api.md.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coterie.values import Missing, Sibling


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document: of which kind, what was wrong, and whether to try again."""

    kind: str
    title: str
    status: int
    detail: str
    definite: bool
    retryable: bool
    node: str
    more: Mapping[str, Any] = field(default_factory=dict)


class CoterieError(Exception):
    """A call did not do what it was asked for."""

    def __init__(
        self, words: str, *, definite: bool = True, problem: Problem | None = None
    ) -> None:
        super().__init__(words)
        self.definite = definite
        self.problem = problem


class Absent(CoterieError):
    """The key has no value (404).  `context` is what was seen of it: a write with it replaces
    nothing that came later."""

    def __init__(
        self,
        words: str,
        *,
        definite: bool = True,
        problem: Problem | None = None,
        context: str = "",
    ) -> None:
        super().__init__(words, definite=definite, problem=problem)
        self.context = context


class Conflict(CoterieError):
    """The key has several concurrent values (300), and no resolver made one of them.

    A write with `context` replaces all of them.
    """

    def __init__(self, key: str, siblings: Sequence[Sibling], context: str, words: str) -> None:
        super().__init__(words)
        self.key = key
        self.siblings = tuple(siblings)
        self.context = context

    @property
    def values(self) -> list[Any]:
        """Return the values of all siblings."""
        return [sibling.value for sibling in self.siblings]


class PreconditionFailed(CoterieError):
    """`if_match` or `if_none_match` excludes what the key shows (412).

    `etag` is of what it shows, empty if it has no value; `context` is what was seen of it.
    """

    def __init__(
        self,
        words: str,
        *,
        definite: bool,
        problem: Problem | None,
        etag: str,
        context: str,
    ) -> None:
        super().__init__(words, definite=definite, problem=problem)
        self.etag = etag
        self.context = context


class BadRequest(CoterieError):
    """The node does not take such a request (400 and other 4xx); the words say why."""


class TooLarge(BadRequest):
    """The value (413), or its content type and meta (431), are larger than nodes take."""


class KeyReused(BadRequest):
    """The idempotency key was used for another write of the key (422)."""


class OutOfBounds(BadRequest):
    """A counter or a set would become larger than nodes let it become (422)."""


class ContextWanted(BadRequest):
    """The policy of the key refuses writes without a context or a condition (428)."""


class TooManySiblings(CoterieError):
    """The key has several values: as many as it may have, or more than a new ttl can be for
    (409)."""


class NotEmpty(CoterieError):
    """The cluster has keys, so an import that does not merge was not begun (409)."""


class Unavailable(CoterieError):
    """No node did what was asked before the deadline.

    If `definite` is false the write may be done.  `acks` is how many replicas have it, as far as
    the last node knew, and `reached` which nodes that one reached.
    """

    @property
    def acks(self) -> int:
        return int(self.problem.more.get("acks", 0)) if self.problem else 0

    @property
    def reached(self) -> list[str]:
        return list(self.problem.more.get("reached", ())) if self.problem else []


class Incomplete(CoterieError):
    """No node of some shards answered, so a list of keys would lack theirs: `unanswered` has the
    names of these shards."""

    def __init__(self, words: str, unanswered: Sequence[str]) -> None:
        super().__init__(words)
        self.unanswered = tuple(unanswered)


class Reset(CoterieError):
    """A watch cannot tell what has changed since its program was given the last change.

    The program reads the keys again, and watches from `last_id` on: the session has seen what the
    watch does not show.
    """

    def __init__(self, words: str, last_id: str) -> None:
        super().__init__(words)
        self.last_id = last_id


class Unmet(CoterieError):
    """The session depends on writes that no replica within reach had before the deadline."""

    @property
    def missing(self) -> list[Missing]:
        """Return which writes were lacking, as far as the node names them."""
        entries = self.problem.more.get("missing", ()) if self.problem else ()
        return [Missing(str(e["actor"]), int(e["have"]), int(e["need"])) for e in entries]


class Unexpected(CoterieError):
    """The answer is none of this API: something else than a node may be at this address."""
