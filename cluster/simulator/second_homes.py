"""Writes that their origin has given to two homes, because the first was silent.

Such a write may have two names, and until they meet it may stand in two places of the order of
concurrent writes.  So the checker treats it like one that its client has sent again (decisions 0041
and 0049).
"""

from cluster.checker.history import History
from node.core.model.changes import StateChange
from node.core.model.dots import Dot
from node.core.protocol.messages import Accept, Message, Replicate


class SecondHomes:
    """What a world's letters show of them: the key and the value of each."""

    def __init__(self) -> None:
        self._names: dict[str, Dot] = {}  # by identity, as the first home has told it
        self._writes: set[tuple[str, bytes | None]] = set()
        self._changes: set[tuple[str, StateChange]] = set()  # of counters and sets

    def see(self, message: Message) -> None:
        """Look at a message that a node sends."""
        match message:
            case Accept(put=put, again=True) if put.change is not None:
                self._changes.add((put.key, put.change))
            case Accept(put=put, again=True):
                self._writes.add((put.key, put.value))
            case Replicate(key=key, item=item, dot=dot) if version := item.versions.get(dot):
                if version.identity and self._names.setdefault(version.identity, dot) != dot:
                    self._writes.add((key, version.value))

    def have_change(self, key: str, change: StateChange) -> bool:
        """Whether two homes were asked for such a change of this key."""
        return (key, change) in self._changes

    def mark(self, history: History) -> None:
        """Let the checker know them."""
        for operation in history:
            value = None if operation.value is None else operation.value.encode()
            if operation.kind != "get" and (operation.key, value) in self._writes:
                operation.repeated = True
