"""What Compose and Swarm say alike of a node: its settings, its rights, its network and its volume.

Compose's words; knows nothing of secrets, which the two have from different places.
"""

from typing import Any

from cluster.deployments.description import (
    DATA,
    STOP_GRACE_S,
    TEMPORARY_MIB,
    USER,
    DeployedNode,
    Deployment,
)

MIB = 1024 * 1024
NETWORK = "nodes"
LOGGING = {"driver": "json-file", "options": {"max-size": "50m", "max-file": "2"}}

Part = dict[str, Any]


def rights() -> Part:
    """Return how a container runs: as a user without rights, on a root that it cannot write."""
    return {"user": f"{USER}:{USER}", "read_only": True, "cap_drop": ["ALL"]}


def node_service(deployment: Deployment, node: DeployedNode) -> Part:
    """Return what both say of a node."""
    temporary = {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": TEMPORARY_MIB * MIB}}
    return {
        "image": deployment.image,
        "hostname": node.name,
        "environment": deployment.settings_of(node),
        "networks": {NETWORK: {"aliases": [node.host]}},
        "volumes": [{"type": "volume", "source": node.name, "target": DATA}, temporary],
        "stop_grace_period": f"{STOP_GRACE_S}s",
        "logging": LOGGING,
        **rights(),
    }


def node_volumes(deployment: Deployment) -> Part:
    return {node.name: {} for node in deployment.nodes}
