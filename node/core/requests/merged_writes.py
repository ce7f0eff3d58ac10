"""What a home does with a change of a counter or a set.

It joins all states of the key that it holds, changes the result, and writes that in their place, as
a client does who reads all siblings and writes one value with their context.  The write depends on
all that its home holds of the key, since a reader is shown all of that.

Example: n1 and n2 own the counter x.  The client of n3 adds 5, and n1 is killed.

    n1 names a1, the state {a: (1, 5)}, and dies before it can answer
    n3 asks n2, which has not heard of a1, and names b1, the state {b: (1, 5)}
    n1 is back.  x has two siblings, which a reader joins: {a: (1, 5), b: (1, 5)}.  Both states say
    under which identity they have added 5, so this counts once
    the client adds 1 at n2, which writes b2 in the place of both: {a: (1, 5), b: (2, 6)}

(docs/decisions/0051.)
"""

from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.changes import NamedAs
from node.core.model.conditions import Mode
from node.core.model.dots import Dot
from node.core.model.drawn_identity import is_drawn
from node.core.model.item import Item, Past
from node.core.model.keys import key_hash_of
from node.core.model.merged_values import State, joined, value_of
from node.core.model.repeats import REPEATS_MAX, is_crowded, without_settled
from node.core.model.token import Token
from node.core.protocol.messages import Accept, Declined, Written
from node.core.protocol.operations import OutOfBounds, Overfull, Put, Refusal, Reused
from node.core.requests.coverage import need_of
from node.core.requests.read_answer import token_after_read
from node.core.requests.repeated_writes import REUSED, RepeatedWrites, stem_of
from node.core.storage.remembered_names import REPEATED_WITHIN_MS

CROWDED = Overfull(
    f"in the last 10 minutes the key has had {REPEATS_MAX} changes with an identity: the limit"
)


class MergedWrites:
    """Makes writes of changes; a change that was named before is found, and told again."""

    def __init__(self, services: Services, repeated: RepeatedWrites) -> None:
        self._views, self._step = services.views, services.step
        self._keyspace, self._repeated = services.store, repeated

    def resolve(self, source: str, accept: Accept) -> Accept | Written | Declined:
        """Return the write that carries out the change; or the answer, if it was named before or
        may not be named."""
        put = accept.put
        held = self._keyspace.filled(put.key)
        values = [version.value for version in held.versions.values() if version.value is not None]
        state = joined(put.key, (*values, *put.states))
        known = state.repeats.get(put.identity)
        here = [dot for dot in known.dots() if self._has(put.key, dot)] if known else []
        if here:
            self._repeated.tell_again(source, accept, held, max(here))
            return self._told_again(accept, held, max(here), state)
        seen = held.past.with_all(put.context)
        # What only the states of the origin's read have was done elsewhere: it is not done again.
        after = state if known else self._changed(put, state, seen)
        if not isinstance(after, State):
            return Declined(accept.request, after)
        write = replace(
            put, value=value_of(after), mode=Mode.SIBLINGS, context=seen,
            token=self._token(put, held), identity="", change=None, states=(),
        )  # fmt: skip
        return replace(accept, put=write)

    def _changed(self, put: Put, state: State, seen: Past) -> State | Refusal:
        """The state after the change, with the name that the write gets; or why there is none."""
        change, now_ms = put.change, int(self._step.now_ms)
        assert change is not None
        since_ms = now_ms - REPEATED_WITHIN_MS
        state = state.tidied(since_ms, self._keyspace.watermarks.is_settled)
        left = without_settled(state.repeats, self._keyspace.names.is_settled)
        state = replace(state, repeats=left)
        if put.identity and (refusal := _refusal(put.identity, state, since_ms)):
            return refusal
        dot = self._keyspace.actor, self._keyspace.counter + 1
        after = state.after(change, NamedAs(dot, put.identity, now_ms, seen))
        problem = after.problem() if change.amount or change.add else ""
        return OutOfBounds(problem) if problem else after

    def _has(self, key: str, dot: Dot) -> bool:
        return self._keyspace.clock_of(key).has(dot)

    def _token(self, put: Put, held: Item) -> Token:
        """What the client has seen, also of this key where this replica lacks it, and what a reader
        of this item depends on."""
        key_hash = key_hash_of(put.key, lww=False)
        need = need_of(key_hash, self._views, self._keyspace)
        token = token_after_read(put.token, need, held)
        seen = put.token.dots_of(key_hash)
        lacking = {dot: put.token.exact[dot] for dot in seen if not held.past.has(dot)}
        return need.trim(replace(token, exact={**token.exact, **lacking})) if lacking else token

    def _told_again(self, accept: Accept, held: Item, dot: Dot, state: State) -> Written:
        """The answer to a change that was named before: the state as it is now."""
        token, shown = self._token(accept.put, held), tuple(held.versions)
        context = accept.put.context
        return Written(
            accept.request, dot, token, context, True, shown=shown, state=value_of(state)
        )


def _refusal(identity: str, state: State, since_ms: int) -> Overfull | Reused | None:
    """Why a change may not have this identity."""
    if is_drawn(identity):
        return None
    stem = stem_of(identity)
    if any(stem_of(other) == stem for other in state.repeats):
        return REUSED
    return CROWDED if is_crowded(state.repeats, since_ms) else None
