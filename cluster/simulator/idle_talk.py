"""How much nodes may say to each other when nothing happens."""

from node.core.model.view import FIRST, View

A_PEER, A_SHARD_PEER = 150, 130  # bytes/s: of six nodes in two shards, 1 kB/s a node
CHANGED = 1.5  # so much more where views have changed: drawn slots and the names of actors are long


def allowed_at_rest(view: View, nodes: int, has_changes: bool) -> float:
    """Return the bytes a second that a node may send in this view; `has_changes`: the run draws
    view changes."""
    shard_peers = max(len(shard.members) for shard in view.shards) - 1
    allowed = A_PEER * (nodes - 1) + A_SHARD_PEER * shard_peers
    return allowed * CHANGED if has_changes or view.id > FIRST else allowed
