"""A history that a test tells line by line, and what the checker finds in it."""

from typing import Any

from cluster.checker.check import check
from cluster.checker.history import Dot, History, Mode, Operation
from cluster.checker.violations import Final, FinalState


class Story:
    """Builds a history line by line; each session sends the token of its last answered line."""

    def __init__(self, mode: Mode = "siblings") -> None:
        self.mode, self.history = mode, History()
        self.last: dict[int, int] = {}

    def put(self, session: int, key: str, value: str, **more: Any) -> int:
        more.setdefault("dot", ("n", len(self.history) + 1))
        return self._add(session, "put", key, value=value, **more)

    def delete(self, session: int, key: str, **more: Any) -> int:
        more.setdefault("dot", ("n", len(self.history) + 1))
        return self._add(session, "delete", key, **more)

    def get(self, session: int, key: str, *values: str, **more: Any) -> int:
        return self._add(session, "get", key, values=values, **more)

    def _add(self, session: int, kind: Any, key: str, **more: Any) -> int:
        parents = (self.last[session],) if session in self.last else ()
        fields = {"parents": parents, "status": "ok", "mode": self.mode, **more}
        operation = Operation(len(self.history) + 1, session, "n", kind, key, **fields)
        self.history.append(operation)
        if operation.status == "ok":
            self.last[session] = operation.id
        return operation.id

    def dot(self, operation: int) -> Dot:
        dot = self.history[operation].dot
        assert dot is not None
        return dot

    def kinds(self, final: Final | None = None, **more: Any) -> list[str]:
        return [each.kind for each in check(self.history, final, **more)]

    def ends(self, *states: tuple[str, ...], **more: Any) -> list[str]:
        replicas = {f"n{at}": FinalState(values) for at, values in enumerate(states)}
        return self.kinds(Final({"x": replicas}), **more)
