"""The split that is in force, in a file, so that a node that comes back is cut off again.

A node forgets its cuts when it restarts, and cannot be told of them while it is paused.  So the
launcher keeps the groups in a file until `heal`, or until the nodes' own limit (`CUT_TTL_S`) is
over, and applies them to every node that starts or resumes meanwhile.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.engines import node_client
from cluster.engines.topology import UNAVAILABLE, Topology, Trouble, cuts_of

SETTLE_TIMEOUT_S = 10.0


class SplitFile:
    """The groups of the last split of one cluster, for as long as it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[list[str]]:
        """Return the groups; none when no split is in force."""
        if not self.path.exists():
            return []
        document = json.loads(self.path.read_text())
        groups: list[list[str]] = document["groups"] if document["until"] > time.time() else []
        return groups

    def write(self, groups: Sequence[Sequence[str]]) -> None:
        """Write the groups down; none means healed."""
        if not groups:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {"groups": [list(group) for group in groups]}
        self.path.write_text(json.dumps({**document, "until": time.time() + node_client.CUT_TTL_S}))


def tell(topology: Topology, groups: Sequence[Sequence[str]], nodes: Sequence[str]) -> None:
    """Let each of these running nodes drop all messages to and from the other groups."""
    cuts = cuts_of(groups)

    def obeyed(name: str) -> bool:
        addresses = [topology.node(other).address for other in cuts.get(name, ())]
        return node_client.cut(topology.node(name).host_port, addresses)

    deaf = [
        name
        for name, done in zip(nodes, node_client.everyone(obeyed, nodes), strict=True)
        if not done
    ]
    if deaf:
        raise Trouble(
            f"{', '.join(deaf)} did not take the cut at /v1/faults; expected an answer of 200:"
            " see `coterie status`, and `coterie heal` to begin again",
            UNAVAILABLE,
        )


def settle(topology: Topology, groups: Sequence[Sequence[str]], node: str) -> None:
    """Cut off a node that has just come back, once it answers; without a split, do nothing."""
    if not groups:
        return
    port = topology.node(node).host_port
    node_client.until(
        lambda: True if node_client.ask("GET", port, "/livez")[0] == 200 else None, SETTLE_TIMEOUT_S
    )
    tell(topology, groups, [node])
