"""Who has lived at which address: a member's id changes when its disk is lost (D1, D7).

The table maps address -> id -> life number; the highest life is the present one, all others have
ended and their dots will never grow.  Only a node itself adds a life to its own address, and it
does so when it hears that others knew somebody else there.
"""

from node.core.clock import Actor
from node.core.view import actor_of

Table = dict[str, dict[str, int]]


class Lives:
    """The lives this node has heard of; entries are only added."""

    def __init__(self, table: Table, view_number: int) -> None:
        self.table = table
        self._view_number = view_number
        self.address_of: dict[Actor, str] = {}
        self._name_actors()

    def _name_actors(self) -> None:
        for address, lives in self.table.items():
            for node_id in lives:
                self.address_of[actor_of(self._view_number, node_id)] = address

    def current(self, address: str) -> str | None:
        """The id that lives there now."""
        lives = self.table.get(address)
        return max(lives, key=lambda node_id: (lives[node_id], node_id)) if lives else None

    def ended(self, address: str) -> list[Actor]:
        """The actors of the lives that are over."""
        now = self.current(address)
        ids = sorted(self.table.get(address, ()))
        return [actor_of(self._view_number, node_id) for node_id in ids if node_id != now]

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
            self._name_actors()
        return changed

    def claim(self, address: str, node_id: str) -> bool:
        """Make this id the present life of its own address; whether it was not."""
        if self.current(address) == node_id:
            return False
        life = max(self.table.get(address, {}).values(), default=0) + 1
        return self.learn({address: {node_id: life}})
