"""With whom a write is left for owners that cannot be reached, and how it is left there.

The origin chooses when it asks a home: each owner that it cannot reach gets a node of another shard
of its own.  The home, or another replica that tells the write again, leaves the hints.  (protocol
P-3; docs/decisions/0043.)
"""

from collections.abc import Iterable, Sequence

from node.core.membership.services import Services
from node.core.model.keys import slot_of_key
from node.core.protocol.hints import Hint
from node.core.protocol.messages import Replicate

Hints = tuple[tuple[str, str], ...]  # (target, holder)


class Hinting:
    """Chooses holders for this node's clients, and leaves hints for other nodes' clients."""

    def __init__(self, services: Services) -> None:
        self._views, self._step = services.views, services.step
        self._detector = services.detector

    def places(self, key: str, members: Sequence[str], away: Sequence[str]) -> Hints:
        """A holder for each of these members that are away, as far as there are nodes that are no
        members and can be reached.  Keys begin at different nodes."""
        now, slot = self._step.now, slot_of_key(key)
        others = [
            node
            for node in self._views.view.nodes
            if node not in members and self._detector.reachable(node, now)
        ]
        if not others:
            return ()
        first = slot % len(others)
        return tuple(zip(away, (*others[first:], *others[:first]), strict=False))

    def leave(self, write: Replicate, hints: Iterable[tuple[str, str]]) -> None:
        """Leave a write of this node's shard with these holders, as far as the current view has
        them in other shards and the targets in this one."""
        view = self._views.view
        members = view.shard_of(slot_of_key(write.key)).members
        for target, holder in hints:
            is_away = target in members and target != self._views.address
            if is_away and holder in view.nodes and holder not in members:
                hint = Hint(write.request, write.origin, target, write.key, write.item, write.dot)
                self._step.tell(holder, hint)
