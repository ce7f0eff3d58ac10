"""Three replicas of one shard that compare their hashes."""

from cluster.simulator.memory_store import write_rows
from node.core.integrity.content_compare import SURE_S
from node.core.model.keys import row_of
from node.core.model.options import Options
from node.core.model.placement import first_view
from node.core.model.view import View
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects, Record
from node.core.protocol.operations import Put
from tests.core.damage import tick
from tests.core.given import OPTIONS
from tests.core.one import NOW, One

TRIO = first_view(["a1", "a2", "a3"], 1)
KEYS = [f"key{n}" for n in range(40)]
LOST = KEYS[:5]
LATER = NOW + SURE_S + 1


class Shard:
    """Members that hold the same keys; `talk` delivers what they tell each other."""

    def __init__(self, view: View = TRIO, options: Options = OPTIONS) -> None:
        self.members = {node: One(node, view, options=options) for node in view.nodes}
        for one in self.members.values():
            for other, shard_peer in self.members.items():
                one.step(other, m.Heartbeat(shard_peer.replica.node_id))
            one.arrive()
            one.replica.keyspace.save_parts()
            tick(one)
        home = self.members["a1"]
        for key in KEYS:
            put = m.Accept(home.replica.next_request(NOW), Put(key, key.encode()))
            for peer, message in home.step("a2", put).tells:
                if isinstance(message, m.Replicate):
                    self.members[peer].step("a1", message)

    def restart(self, node: str) -> One:
        """Restart a member: its memory is empty, and it has counted all rows."""
        rows = self.members[node].rows
        self.members[node] = one = One(node, self.members[node].replica.view, rows)
        for other, shard_peer in self.members.items():
            one.step(other, m.Heartbeat(shard_peer.replica.node_id))
            if shard_peer is not one:
                shard_peer.step(node, m.DeclaredRuns(one.replica.keyspace.runs.known()))
                one.step(other, m.DeclaredRuns(shard_peer.replica.keyspace.runs.known()))
        tick(one, NOW)
        return one

    def lose(self, node: str, *keys: str) -> One:
        """Drop the rows of these keys, as while the node was down."""
        gone = [Record("item", row_of(key), None) for key in keys]
        write_rows(self.members[node].rows.tables, gone)
        return self.restart(node)

    def compare(self, now: float) -> list[m.Message]:
        """Let all tell all what they hold, until no member says more; return what they said."""
        said: list[m.Message] = []
        for node, one in self.members.items():
            for other in self.members:
                if other != node:
                    compare = one.replica.maintenance.anti_entropy.compare("a2", answer=False)
                    said += self.talk(
                        other, node, self.members[other].step(node, compare, now), now
                    )
        return said

    def talk(self, node: str, source: str, effects: Effects, now: float) -> list[m.Message]:
        kinds = m.Pull | m.Page
        sent = [(p, s) for p, s in (*effects.asks, *effects.tells) if isinstance(s, kinds)]
        said: list[m.Message] = [message for _, message in sent]
        for peer, message in sent:
            said += self.talk(peer, node, self.members[peer].step(node, message, now), now)
        return said

    def settle(self, now: float = LATER) -> list[m.Message]:
        """Compare twice, so that a difference lasts, and count again what was repaired."""
        said = self.compare(NOW) + self.compare(now)
        for _ in range(len(LOST) + 1):
            for one in self.members.values():
                tick(one, now)
        return said

    def contents(self) -> set[str | None]:
        return {one.replica.keyspace.content_hashes.content for one in self.members.values()}
