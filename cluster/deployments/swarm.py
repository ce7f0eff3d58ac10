"""A deployment as a Swarm stack: each node is a service with one task, found by name in rounds.

The one idea: a node is a service of its own, since it has a name and a disk of its own.  Its name
leads to the address of its task (`dnsrr`), and to no virtual one, so that a link goes to the node.
"""

from cluster.deployments.containers import NETWORK, Part, node_service, node_volumes
from cluster.deployments.description import (
    API_TOKENS,
    CERTIFICATE_FILES,
    CERTIFICATES,
    CLUSTER_SECRET,
    PORT,
    USER,
    DeployedNode,
    Deployment,
)
from cluster.engines.topology import MEMORY_MIB, PROCESSES_MAX

VERSION = "3.9"
READABLE_MODE = 0o400
# Swarm gives no address for a name before the first check of health has gone well.
HEALTH = {"interval": "5s", "timeout": "3s", "retries": 4, "start_period": "30s"}
# The check of the image, which asks /livez: Compose's words want a test beside the times.


def swarm(deployment: Deployment) -> Part:
    """Return the stack."""
    secrets = _secret_files(deployment)
    options = {"encrypted": ""} if _is_encrypted_by_network(deployment) else {}
    network = {"driver": "overlay", "attachable": True, "driver_opts": options}
    stack = {
        "version": VERSION,
        "services": {node.name: _node(deployment, node) for node in deployment.nodes},
        "networks": {NETWORK: {key: value for key, value in network.items() if value != {}}},
        "volumes": node_volumes(deployment),
    }
    if secrets:
        stack["secrets"] = {name: {"file": f"./secrets/{name}"} for name in secrets}
    return stack


def _is_encrypted_by_network(deployment: Deployment) -> bool:
    """TLS=terminated says that the network encrypts: so the stack lets it."""
    return deployment.is_secure and not deployment.has_certificates


def _secret_files(deployment: Deployment) -> list[str]:
    if not deployment.is_secure:
        return []
    certificates = CERTIFICATE_FILES.values() if deployment.has_certificates else ()
    return [CLUSTER_SECRET, API_TOKENS, *certificates]


def _node(deployment: Deployment, node: DeployedNode) -> Part:
    service = {**node_service(deployment, node), "deploy": _placed()}
    service["healthcheck"] = HEALTH
    if secrets := _secret_files(deployment):
        service["secrets"] = [_mounted(secret) for secret in secrets]
    if (port := deployment.host_port_of(node)) is not None:
        # A virtual address would be needed for a port of the whole swarm.
        service["ports"] = [{"target": PORT, "published": port, "mode": "host"}]
    return service


def _mounted(secret: str) -> Part:
    """Return where a node reads a secret: certificates lie in their own folder."""
    is_certificate = secret in CERTIFICATE_FILES.values()
    target = f"{CERTIFICATES}/{secret}" if is_certificate else secret
    owner = str(USER)
    return {
        "source": secret,
        "target": target,
        "uid": owner,
        "gid": owner,
        "mode": READABLE_MODE,
    }


def _placed() -> Part:
    """Return how Swarm runs a node: one task, stopped before the next one starts."""
    return {
        "endpoint_mode": "dnsrr",
        "replicas": 1,
        "restart_policy": {"condition": "any", "delay": "1s"},
        "update_config": {"parallelism": 1, "order": "stop-first", "failure_action": "pause"},
        "resources": {"limits": {"memory": f"{MEMORY_MIB}M", "pids": PROCESSES_MAX}},
    }
