"""A deployment as the manifests of Kubernetes.

The one idea: a StatefulSet gives each pod a name and a disk that stay, and a headless service makes
DNS names of the names.  That service names pods that are not ready, too: a node becomes ready only
when it has found others.
"""

from cluster.deployments.description import API_TOKENS, CLUSTER_SECRET, DISK, PORT, Deployment
from cluster.deployments.pods import VOLUME, Part, labels, labels_of_set, pod

MOST_AWAY = 1  # nodes that Kubernetes may stop at the same time by its own will


def kubernetes(deployment: Deployment) -> list[Part]:
    """Return the manifests, in the order in which they are applied."""
    manifests = [_peers(deployment), _clients(deployment), _budget(deployment)]
    manifests.append(_nodes(deployment, deployment.name, len(deployment.first_nodes)))
    if deployment.later:
        later = _nodes(deployment, deployment.later_name, deployment.later, is_later=True)
        manifests.append(later)
    return manifests


def _head(deployment: Deployment, api: str, kind: str, name: str) -> Part:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "labels": labels(deployment)},
    }


def _ports() -> list[Part]:
    return [{"name": "node", "port": PORT, "targetPort": "node"}]


def _peers(deployment: Deployment) -> Part:
    """Name each pod for its peers, ready or not."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": labels(deployment),
        "ports": _ports(),
    }
    return {**_head(deployment, "v1", "Service", deployment.name), "spec": spec}


def _clients(deployment: Deployment) -> Part:
    """Lead clients to any node that is ready."""
    spec = {"selector": labels(deployment), "ports": _ports()}
    return {**_head(deployment, "v1", "Service", f"{deployment.name}-clients"), "spec": spec}


def _budget(deployment: Deployment) -> Part:
    spec = {"maxUnavailable": MOST_AWAY, "selector": {"matchLabels": labels(deployment)}}
    head = _head(deployment, "policy/v1", "PodDisruptionBudget", deployment.name)
    return {**head, "spec": spec}


def _nodes(deployment: Deployment, name: str, count: int, is_later: bool = False) -> Part:
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": DISK}},
    }
    spec = {
        "serviceName": deployment.name,
        "replicas": count,
        # All at once: a node that waited for the one before it to be ready would wait for ever.
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "RollingUpdate"},
        "selector": {"matchLabels": labels_of_set(deployment, is_later)},
        "template": pod(deployment, is_later),
        "volumeClaimTemplates": [{"metadata": {"name": VOLUME}, "spec": claim}],
    }
    return {**_head(deployment, "apps/v1", "StatefulSet", name), "spec": spec}


def secret_command(deployment: Deployment) -> str:
    """Return how an operator gives Kubernetes the secrets of the folder `secrets`."""
    files = " ".join(f"--from-file=secrets/{name}" for name in (CLUSTER_SECRET, API_TOKENS))
    return f"kubectl create secret generic {deployment.name}-keys {files}"
