"""What to try first on a cluster, in the terms of the contract that its nodes speak."""

from cluster.engines.topology import DEFAULT_NAME, Topology
from node.api.dialects.listing import BY_NAME
from node.api.entry import Machine


def first_words(topology: Topology) -> list[str]:
    """Return commands to begin with: some of the nodes' first contract, and the cluster's
    status.
    """
    entry = BY_NAME[topology.dialects[0]]
    nodes = [Machine(node.url, node.address) for node in topology.nodes]
    name = "" if topology.name == DEFAULT_NAME else f" --name {topology.name}"
    return [*entry.first_commands(nodes, topology.shards), f".venv/bin/coterie status{name}"]
