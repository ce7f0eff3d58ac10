"""Versions whose time is over are deleted, as a client would do it.

A version that has expired is not shown any more, by the clock of each node.  Soon after, one owner
of its key deletes just that version: an ordinary write, which stands beside concurrent ones.  The
owners take turns, so that usually one of them does it: the first at once, the others later, if the
version is still there.
"""

from collections.abc import Callable

from node.core.membership.services import Services
from node.core.model.conditions import Mode
from node.core.model.item import Past
from node.core.model.keys import slot_of_key
from node.core.protocol.effects import Damaged
from node.core.protocol.operations import Put

TURN_S = 3.0
AT_ONCE = 64


class Expiring:
    """Deletes what has expired in the slots of this replica; `delete` names a write here."""

    def __init__(self, services: Services, delete: Callable[[Put], None]) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self._delete = delete
        self._after: str | None = None  # the last row that was looked at

    def tick(self) -> None:
        """Delete some versions whose time is over and whose turn has come."""
        expiry, views = self._keyspace.expiry, self._views
        upto_ms = int((self._step.now - self._turn() * TURN_S) * 1000)
        if expiry.next_ms > upto_ms or not views.may_name() or not views.is_confirmed:
            return
        due = expiry.due(self._after, upto_ms, AT_ONCE)
        self._after = due[-1][0] if len(due) == AT_ONCE else None
        for name, key in due:
            part = self._keyspace.parts.at(slot_of_key(key))
            if part is not None and not part.owned:
                continue  # its owners pull it; but the slot may come back
            try:
                self._delete_expired(key, upto_ms)
            except Damaged as found:
                self._step.suspect(found)
            else:
                expiry.drop(name)

    def _turn(self) -> int:
        """The place of this node among the members of its shard."""
        shard = self._views.view.shard_with(self._views.address)
        return shard.members.index(self._views.address) if shard else 0

    def _delete_expired(self, key: str, upto_ms: int) -> None:
        versions = self._keyspace.filled(key).versions
        over = {
            dot: version.expires
            for dot, version in versions.items()
            if version.value is not None and 0 < version.expires <= upto_ms
        }
        if over:
            past = Past({}, set(over))
            self._delete(Put(key, None, Mode.SIBLINGS, context=past, expires=max(over.values())))
