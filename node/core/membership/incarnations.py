"""The table of incarnations: which have lived at which address (D1, D7).

A node's id changes when its disk is lost.  The table maps address -> id -> number of the
incarnation.  The highest is the present one; all others have ended, and name no more writes.  Only
a node itself adds an incarnation to its own address.  It does so when it hears that other nodes
knew another one there.
"""

from node.core.model.actors import Actor, actor_of, short_name, short_of
from node.core.model.view import ViewId

Table = dict[str, dict[str, int]]


class Incarnations:
    """The incarnations that this node has heard of; entries are only added."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.runs: dict[str, str] = {}  # node id -> its present run, of those met
        self._addresses: dict[str, str] = {}
        self._places: dict[str, set[str]] = {}  # of a disk that was moved there are several
        self._name_nodes()

    def meet(self, node_id: str, run: str) -> None:
        """Note that this node is in this run now."""
        self.runs[node_id] = run

    def _name_nodes(self) -> None:
        for address, incarnations in self.table.items():
            for node_id in incarnations:
                short = short_name(node_id)
                self._addresses[short] = address
                self._places.setdefault(short, set()).add(address)

    def knows(self, short: str) -> bool:
        """Whether a node with this short name has ever lived, as far as this node knows."""
        return short in self._places

    def places_of(self, actor: Actor) -> set[str]:
        """All addresses at which this actor's node has ever lived."""
        return self._places.get(short_of(actor), set())

    def address_of(self, actor: Actor) -> str | None:
        """Where this actor writes or wrote."""
        return self._addresses.get(short_of(actor))

    def current(self, address: str) -> str | None:
        """The id that lives there now."""
        incarnations = self.table.get(address)
        if incarnations is not None and len(incarnations) == 1:  # nearly always
            return next(iter(incarnations))
        return (
            max(incarnations, key=lambda node_id: (incarnations[node_id], node_id))
            if incarnations
            else None
        )

    def is_first(self, address: str) -> bool:
        """Whether this node knows of at most one incarnation that has lived there."""
        return len(self.table.get(address, ())) <= 1

    def past(self, address: str, view: ViewId) -> list[Actor]:
        """The actors, in this view, of the past incarnations at an address."""
        now = self.current(address)
        ids = sorted(self.table.get(address, ()))
        return [actor_of(view, node_id) for node_id in ids if node_id != now]

    def copy(self) -> Table:
        return {address: dict(incarnations) for address, incarnations in self.table.items()}

    def merge(self, table: Table) -> bool:
        """Merge another node's table; return whether anything was new."""
        changed = False
        for address, incarnations in table.items():
            mine = self.table.setdefault(address, {})
            for node_id, incarnation in incarnations.items():
                if incarnation > mine.get(node_id, 0):
                    mine[node_id] = incarnation
                    changed = True
        if changed:
            self._name_nodes()
        return changed

    def claim(self, address: str, node_id: str) -> bool:
        """Make this id the present incarnation of its own address; return whether it was not."""
        if self.current(address) == node_id:
            return False
        incarnation = max(self.table.get(address, {}).values(), default=0) + 1
        return self.merge({address: {node_id: incarnation}})
