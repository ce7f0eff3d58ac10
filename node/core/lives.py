"""Who has lived at which address: a member's id changes when its disk is lost (D1, D7).

The table maps address -> id -> life number; the highest life is the present one, all others have
ended and their dots will never grow.  Only a node itself adds a life to its own address, and it
does so when it hears that others knew somebody else there.
"""

from node.core.view import Actor, ViewId, actor_of, short_name, short_of

Table = dict[str, dict[str, int]]


class Lives:
    """The lives this node has heard of; entries are only added."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._addresses: dict[str, str] = {}
        self._name_nodes()

    def _name_nodes(self) -> None:
        for address, lives in self.table.items():
            for node_id in lives:
                self._addresses[short_name(node_id)] = address

    def address_of(self, actor: Actor) -> str | None:
        """Where this actor writes or wrote."""
        return self._addresses.get(short_of(actor))

    def current(self, address: str) -> str | None:
        """The id that lives there now."""
        lives = self.table.get(address)
        if lives is not None and len(lives) == 1:  # nearly always
            return next(iter(lives))
        return max(lives, key=lambda node_id: (lives[node_id], node_id)) if lives else None

    def is_first(self, address: str) -> bool:
        """Whether nobody else is known to have lived there."""
        return len(self.table.get(address, ())) <= 1

    def ended(self, address: str, view: ViewId) -> list[Actor]:
        """The actors of the lives that are over."""
        now = self.current(address)
        ids = sorted(self.table.get(address, ()))
        return [actor_of(view, node_id) for node_id in ids if node_id != now]

    def copy(self) -> Table:
        return {address: dict(lives) for address, lives in self.table.items()}

    def learn(self, table: Table) -> bool:
        """Take over what another node knows; whether anything was new."""
        changed = False
        for address, lives in table.items():
            mine = self.table.setdefault(address, {})
            for node_id, life in lives.items():
                if life > mine.get(node_id, 0):
                    mine[node_id] = life
                    changed = True
        if changed:
            self._name_nodes()
        return changed

    def claim(self, address: str, node_id: str) -> bool:
        """Make this id the present life of its own address; whether it was not."""
        if self.current(address) == node_id:
            return False
        life = max(self.table.get(address, {}).values(), default=0) + 1
        return self.learn({address: {node_id: life}})
