"""A deployment as a Compose file: all nodes on one machine, reached at ports of its loopback.

The one idea: `up --build` is enough.  A service that ends at once makes the secrets of a secure
cluster, in a volume that nodes only read; a second `up` finds them there.
"""

from cluster.deployments.containers import (
    NETWORK,
    Part,
    node_service,
    node_volumes,
    rights,
)
from cluster.deployments.description import (
    CERTIFICATES,
    DATA,
    OPERATOR_TOKEN,
    PORT,
    SECRETS,
    DeployedNode,
    Deployment,
)
from cluster.engines.topology import MEMORY_MIB, PROCESSES_MAX

KEYS, DEMO = "keys", "demo"
MAKE_KEYS = ["python3", "-m", "node.security.first_keys", DATA]
STORIES = ("basic", "cart")
NODES_OF_A_STORY = 3
NO_NEW_RIGHTS = {"security_opt": ["no-new-privileges"]}
BOUNDS = {"mem_limit": f"{MEMORY_MIB}m", "pids_limit": PROCESSES_MAX}


def build_of(dockerfile: str) -> Part:
    """Return how an image is built.  A proxy of the host counts in the build; the host's network
    makes one on its loopback reachable."""
    return {
        "context": "..",
        "dockerfile": dockerfile,
        "network": "host",
        "args": {"PYTHON_IMAGE": "${PYTHON_IMAGE:-python:3.13-slim-bookworm}"},
    }


def compose(deployment: Deployment) -> Part:
    """Return the Compose file."""
    services = {node.name: _node(deployment, node) for node in deployment.nodes}
    if deployment.is_secure:
        services = {KEYS: _keys(deployment), **services}
    else:
        services[deployment.nodes[0].name]["build"] = build_of("Dockerfile")
    if not deployment.has_certificates:
        services[DEMO] = _demo(deployment)
    return {
        "services": services,
        "networks": {NETWORK: {}},
        "volumes": {**({KEYS: {}} if deployment.is_secure else {}), **node_volumes(deployment)},
    }


def _node(deployment: Deployment, node: DeployedNode) -> Part:
    service = {**node_service(deployment, node), **NO_NEW_RIGHTS, **BOUNDS}
    service["restart"] = "unless-stopped"
    service["pull_policy"] = "never"  # one service builds the image for all
    if (port := deployment.host_port_of(node)) is not None:
        service["ports"] = [f"127.0.0.1:{port}:{PORT}"]
    first = deployment.nodes[0]
    if deployment.is_secure:
        service["volumes"].append(_mounted_keys())
        service["depends_on"] = {KEYS: {"condition": "service_completed_successfully"}}
    elif node != first:
        service["depends_on"] = {first.name: {"condition": "service_started"}}
    if deployment.has_certificates:
        service["volumes"].append(_certificates())
    return service


def _mounted_keys() -> Part:
    return {"type": "volume", "source": KEYS, "target": SECRETS, "read_only": True}


def _certificates() -> Part:
    return {
        "type": "bind",
        "source": "./certificates",
        "target": CERTIFICATES,
        "read_only": True,
    }


def _keys(deployment: Deployment) -> Part:
    """Make the secrets where there are none.  The volume is mounted where the image has a folder
    of its user, so that it belongs to that user."""
    return {
        "image": deployment.image,
        "build": build_of("Dockerfile"),
        "command": MAKE_KEYS,
        "network_mode": "none",
        "volumes": [{"type": "volume", "source": KEYS, "target": DATA}],
        "restart": "no",
        "healthcheck": {"disable": True},
        **rights(),
        **NO_NEW_RIGHTS,
        **BOUNDS,
    }


def _demo(deployment: Deployment) -> Part:
    """Tell stories at some of the nodes, as their client, once they are ready."""
    hosts = [node.host for node in deployment.nodes[:NODES_OF_A_STORY]]
    words = " ".join(f"--url http://{host}:{PORT}" for host in hosts)
    stories = " && ".join(f"python3 -m examples.{story} {words}" for story in STORIES)
    token = f"export COTERIE_TOKEN=$$(cat {SECRETS}/{OPERATOR_TOKEN}) && "
    return {
        "image": f"{deployment.name}-demo:dev",
        "build": build_of("deploy/demo.Dockerfile"),
        "profiles": [DEMO],
        "command": ["sh", "-c", (token if deployment.is_secure else "") + stories],
        "networks": [NETWORK],
        "volumes": [_mounted_keys()] if deployment.is_secure else [],
        "depends_on": {node.name: {"condition": "service_healthy"} for node in deployment.nodes},
        "restart": "no",
        **rights(),
        **NO_NEW_RIGHTS,
        **BOUNDS,
    }
