"""Writes that wait for a read, because a home cannot judge the token or lacks the key's past.

The origin reads the key first.  If the outcome allows the write, the origin begins it again with
the read's token, so the write replaces what the read has seen.  A write without a condition begins
again soon even if the read has not answered.  (protocol D10 R6.)
"""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.conditions import UNCONDITIONAL, Mode
from node.core.model.dots import DotClock
from node.core.model.item import Past
from node.core.model.keys import key_hash_of
from node.core.protocol.operations import Absent, Found, Get, Mismatch, Outcome, Put
from node.core.requests.coverage import need_of
from node.core.requests.read_answer import refusal_by_tag

LOOK_S = 0.1


class Looking(msgspec.Struct, frozen=True):
    """A write whose origin reads the key first, and the number of attempts before.  `is_bound`: the
    write must not be done unless the read allows it."""

    put: Put
    attempts: int
    until: float
    is_bound: bool


class LookFirst:
    """The reads that come before writes.  `read` begins a read and `drop` ends it.  `put` begins
    the write; its arguments say whether the key has a value, and how many attempts were made
    before."""

    def __init__(
        self,
        services: Services,
        read: Callable[[int, Get], None],
        drop: Callable[[int], None],
        put: Callable[[int, Put, bool, int], None],
    ) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._read, self._drop, self._put = read, drop, put
        self._looking: dict[int, Looking] = {}

    def begin(self, request: int, put: Put, attempts: int) -> None:
        """Read the key, then do the write if the outcome allows it; do a write without a condition
        soon in any case."""
        until = self._step.now + LOOK_S
        self._looking[request] = Looking(put, attempts, until, self._is_bound(put))
        scope = put.refuse_when.scope
        get = Get(put.key, put.judged_as, put.token, scope, timeout_s=put.timeout_s)
        is_change = put.change is not None
        wait_s = put.wait_s if is_change else 0.0
        self._read(request, replace(get, identity=put.identity, raw=is_change, wait_s=wait_s))

    def _is_bound(self, put: Put) -> bool:
        """Whether the write has a condition: the key must have a value, or the token names
        something of it.  Any home covers a token that is empty or names only other shards."""
        refuse_when = put.refuse_when
        if put.change is not None:  # its client has seen what it removes
            return refuse_when.unmet is not None
        if refuse_when.absent or refuse_when.asks_for_tag or refuse_when.unmet is None:
            return refuse_when.absent or refuse_when.asks_for_tag
        need = need_of(key_hash_of(put.key, put.mode is Mode.LWW), self._views, self._keyspace)
        asked = need.of(put.token, refuse_when.unmet, Past(), DotClock())
        return put.token.view > need.view or bool(asked)

    def on_read(self, request: int, outcome: Outcome | None) -> Outcome | None:
        """Take a read's outcome (None: not yet), and return what its client is answered now.  A
        client whose write waited for the read is answered by the write."""
        looking = self._looking.pop(request, None) if outcome is not None else None
        if looking is None:
            return outcome
        put, found = looking.put, isinstance(outcome, Found)
        if isinstance(outcome, Found | Absent) and outcome.naming is not None:
            # It was allowed when it was named first.  What the read has seen may have replaced it.
            first = outcome.naming.timestamp
            named = replace(put, refuse_when=UNCONDITIONAL, repeated=True, first=first)
            self._put(request, named, found, looking.attempts)
            return None
        if put.refuse_when.asks_for_tag and isinstance(outcome, Found | Absent):
            return self._judge_tag(request, looking, outcome)
        if found or (isinstance(outcome, Absent) and not put.refuse_when.absent):
            assert isinstance(outcome, Found | Absent)
            token = outcome.token  # what the read has seen, the write replaces
            allowed = replace(put, token=token, refuse_when=UNCONDITIONAL)
            if put.change is not None and isinstance(outcome, Found):
                allowed = replace(allowed, context=outcome.context, states=outcome.values)
            self._put(request, allowed, found, looking.attempts)
        elif looking.is_bound:
            return outcome
        else:
            self._put(request, _unread(put), False, looking.attempts)
        return None

    def _judge_tag(
        self, request: int, looking: Looking, read: Found | Absent
    ) -> Mismatch | Absent | None:
        """Refuse the write by what the read shows, or begin it.  Where a key shows its siblings,
        the write replaces just those that were read, since more may have come meanwhile."""
        put = looking.put
        if refusal := refusal_by_tag(put.refuse_when, read):
            return refusal
        allowed = replace(put, token=read.token, refuse_when=UNCONDITIONAL)
        if put.mode is Mode.LWW and put.judged_as is Mode.SIBLINGS:
            allowed = replace(allowed, mode=Mode.SIBLINGS, context=read.context)
        self._put(request, allowed, isinstance(read, Found), looking.attempts)
        return None

    def tick(self) -> None:
        """Begin the writes without a condition that have waited long enough."""
        for request, looking in list(self._looking.items()):
            if self._looking.get(request) is not looking:
                continue  # the look of another write has answered this one's read
            if not looking.is_bound and self._step.now >= looking.until:
                del self._looking[request]
                self._drop(request)
                self._put(request, _unread(looking.put), False, looking.attempts)


def _unread(put: Put) -> Put:
    """A write that begins without a read of its key.  If its client may have sent it before, what
    the token names may have replaced it."""
    return replace(put, repeated=True) if put.identity and put.mode is Mode.LWW else put
