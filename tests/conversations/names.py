"""The names of nodes, actors, views, keys and requests in a conversation."""

from collections.abc import Iterable
from itertools import count

from node.core.model.actors import HEAD, actor_of, short_name, short_of, view_of
from node.core.model.dots import Dot
from node.core.model.keys import key_hash_of
from node.core.model.view import FIRST, ViewId


def braces(words: Iterable[str], between: str = " ") -> str:
    return "{" + between.join(words) + "}"


class Names:
    """The names of one conversation."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._short: dict[str, str] = {}
        self._proposers: dict[str, str] = {}
        self._runs: dict[str, list[str]] = {}  # of a node, by its short name
        self._named_runs: dict[str, list[str]] = {}
        self._numbers: dict[int, ViewId] = {}  # the view that has the number alone for its name
        self._keys: dict[int, str] = {}
        self._requests: dict[int, str] = {}
        self._repair_number = count(1)

    def name_node(self, node_id: str, run: str, name: str) -> None:
        self._nodes[node_id] = self._short[short_name(node_id)] = name
        self._proposers[short_name(f"{node_id}{run}")] = name
        self._runs.setdefault(short_name(node_id), []).append(run)

    def actor(self, actor: str) -> str:
        short, name = short_of(actor), actor.partition(".")[0]
        if HEAD in actor:
            return f"{self._short[short]}/past"  # as many as its past runs
        view, run = view_of(actor), name.removeprefix(short)
        name = self._short.get(short, name)  # a client may name any node
        name += f"/{self._naming_run(short, run)}" if self._naming_run(short, run) > 1 else ""
        return name if view == FIRST else f"{name}@{self.view(view)}"

    def _naming_run(self, short: str, run: str) -> int:
        """Return the number of a run among those that have written something, in the order of their
        news.

        A whole incarnation has no number.
        """
        named = self._named_runs.setdefault(short, [])
        if not run or run not in self._runs.get(short, ()):
            return 0
        if run not in named:
            named.append(run)
        return named.index(run) + 1

    def actor_at(self, name: str) -> str:
        """Return the actor of a node's run in the first view (a1, a1/2); without a node, the
        name.
        """
        node, _, number = name.partition("/")
        ids = [node_id for node_id, known in self._nodes.items() if known == node]
        if not ids:
            return name
        named = self._named_runs.get(short_name(ids[0])) or self._runs[short_name(ids[0])]
        return actor_of(FIRST, ids[0], named[int(number or 1) - 1])

    def view(self, view: ViewId) -> str:
        """Name a view; the first view of a number has the number alone for its name."""
        if self._numbers.setdefault(view.number, view) == view:
            return str(view.number)
        return f"{view.number}.{self._proposer(view)}"

    def _proposer(self, view: ViewId) -> str:
        names = self._proposers.items()
        return next(name for short, name in names if short.startswith(view.proposer))

    def views_of(self, views: Iterable[ViewId]) -> str:
        return braces(self.view(view) for view in sorted(views))

    def name_key(self, key: str) -> None:
        for lww in (False, True):
            self._keys[key_hash_of(key, lww)] = key

    def name_request(self, number: int, name: str) -> None:
        self._requests[number] = name

    def request(self, number: int) -> str:
        """Name a request; one that is no client's is a node's own question for a damaged row."""
        if number not in self._requests:
            self._requests[number] = f"repair{next(self._repair_number)}"
        return self._requests[number]

    def node(self, node_id: str) -> str:
        return self._nodes[node_id]

    def dot(self, dot: Dot) -> str:
        return f"{self.actor(dot[0])}:{dot[1]}"
