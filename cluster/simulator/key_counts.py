"""Whether every node counts and lists the live keys of each shard rightly, at rest.

A list of all keys has counters and sets, too, and covers what all nodes have.  Every node must also
explain a key: what it says of it is not judged.
"""

from collections.abc import Iterable
from functools import partial

from cluster.simulator.invariants import ViolationError
from cluster.simulator.world import World
from node.core.model.keys import FIRST_OF_ALL, is_plain, slot_of_key
from node.core.model.token import Token
from node.core.model.view import Shard, View
from node.core.protocol.inspection import ClocksJoined, Explain, Explained, JoinClocks
from node.core.protocol.operations import Count, Counted, KeysListed, ListKeys, Outcome

JOINING_S = 2.0  # at rest all nodes answer sooner


class KeyCounts:
    """The questions to the nodes, and their answers: a shard, its live keys, what a node says of
    their number, and how it lists them."""

    def __init__(self, world: World, view: View, keys: list[str]) -> None:
        self._world, self._view, self._keys = world, view, keys
        self._asked = 0
        self._answers: list[tuple[str, list[str], Outcome]] = []

    def ask(self, addresses: Iterable[str]) -> None:
        for address in addresses:
            self._asked += 1
            note = partial(self._note, "", [])
            self._world.submit(address, Explain(self._keys[0]), note)
            self._asked += 1
            self._world.submit(address, JoinClocks(JOINING_S), partial(self._list_all, address))
        for place, shard in enumerate(self._view.shards):
            live = self._live_in(shard)
            note = partial(self._note, shard.id, live)
            plain = partial(self._note, shard.id, [key for key in live if is_plain(key)])
            for address in addresses:
                self._asked += 2
                self._world.submit(address, Count(shard.id), note)
                self._world.submit(address, ListKeys(self._view.slots_of_shard(place)), plain)

    def _list_all(self, address: str, joined: Outcome) -> None:
        """List all keys of each shard with the token of what all nodes have."""
        self._note("", [], joined)
        token = joined.token if isinstance(joined, ClocksJoined) else Token()
        for place, shard in enumerate(self._view.shards):
            self._asked += 1
            note = partial(self._note, shard.id, self._live_in(shard))
            slots = self._view.slots_of_shard(place)
            wanted = ListKeys(slots, FIRST_OF_ALL, token=token)
            self._world.submit(address, wanted, note)

    def are_answered(self) -> bool:
        return len(self._answers) == self._asked

    def judge(self) -> None:
        if not self.are_answered():
            left = self._asked - len(self._answers)
            raise ViolationError("Stuck", f"at rest, {left} counts and lists are not answered")
        for shard_id, live, outcome in self._answers:
            if isinstance(outcome, Explained | ClocksJoined) and not shard_id:
                continue
            is_listed = isinstance(outcome, KeysListed) and outcome.keys == live
            if outcome != Counted(len(live)) and not is_listed:
                detail = f"{shard_id} has the live keys {live} and answers {outcome}"
                raise ViolationError("Miscounted", detail)

    def _live_in(self, shard: Shard) -> list[str]:
        keys = [key for key in self._keys if self._view.shard_of(slot_of_key(key)) is shard]
        driver = self._world.nodes[shard.members[0]].driver
        assert driver is not None, f"{shard.members[0]} is down"
        return sorted(key for key in keys if driver.replica.peek(key).is_live())

    def _note(self, shard: str, live: list[str], outcome: Outcome) -> None:
        self._answers.append((shard, live, outcome))
