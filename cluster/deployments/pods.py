"""The pod of a node in Kubernetes: its container, its probes, its rights and what it reads."""

from typing import Any

from cluster.deployments.description import (
    CERTIFICATES,
    DATA,
    PORT,
    SECRETS,
    STOP_GRACE_S,
    TEMPORARY_MIB,
    USER,
    Deployment,
)
from cluster.engines.topology import MEMORY_MIB

Part = dict[str, Any]

POD_NAME = "POD_NAME"
VOLUME, TEMPORARY, KEYS, CERTIFICATE_VOLUME = "data", "tmp", "keys", "certificates"
STARTED_WITHIN_S, START_ASKED_EVERY_S = 120, 2
LIVE_EVERY_S, LIVE_FAILURES = 10, 3
READY_EVERY_S, READY_FAILURES = 3, 2
ANSWER_S = 3
PREFERENCE = 100  # the most that Kubernetes knows


def labels(deployment: Deployment) -> dict[str, str]:
    """Return what chooses the pods of the deployment."""
    return {"app.kubernetes.io/name": "coterie", "app.kubernetes.io/instance": deployment.name}


def labels_of_set(deployment: Deployment, is_later: bool) -> dict[str, str]:
    """Return what chooses the pods of one StatefulSet."""
    component = "later-node" if is_later else "node"
    return {**labels(deployment), "app.kubernetes.io/component": component}


def pod(deployment: Deployment, is_later: bool) -> Part:
    """Return the pod that a StatefulSet makes for each node."""
    return {
        "metadata": {"labels": labels_of_set(deployment, is_later)},
        "spec": {
            "affinity": {"podAntiAffinity": _apart(deployment)},
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": STOP_GRACE_S,
            "containers": [_container(deployment, is_later)],
            "volumes": _volumes(deployment),
        },
    }


def _apart(deployment: Deployment) -> Part:
    """Prefer a host for each node; where hosts are few, two nodes may share one."""
    term = {
        "labelSelector": {"matchLabels": labels(deployment)},
        "topologyKey": "kubernetes.io/hostname",
    }
    preferred = {"weight": PREFERENCE, "podAffinityTerm": term}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}


def _container(deployment: Deployment, is_later: bool) -> Part:
    address = f"$({POD_NAME}).{deployment.name}:{PORT}"
    settings = deployment.settings_at(address, is_later)
    return {
        "name": "node",
        "image": deployment.image,
        "env": [
            {"name": POD_NAME, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": name, "value": text} for name, text in settings.items()),
        ],
        "ports": [{"name": "node", "containerPort": PORT}],
        "startupProbe": _probe(
            deployment, "/livez", START_ASKED_EVERY_S, STARTED_WITHIN_S // START_ASKED_EVERY_S
        ),
        "livenessProbe": _probe(deployment, "/livez", LIVE_EVERY_S, LIVE_FAILURES),
        "readinessProbe": _probe(deployment, "/readyz", READY_EVERY_S, READY_FAILURES),
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{MEMORY_MIB // 2}Mi"},
            "limits": {"memory": f"{MEMORY_MIB}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": _mounts(deployment),
    }


def _probe(deployment: Deployment, path: str, every_s: int, failures: int) -> Part:
    scheme = "HTTPS" if deployment.has_certificates else "HTTP"
    return {
        "httpGet": {"path": path, "port": "node", "scheme": scheme},
        "periodSeconds": every_s,
        "timeoutSeconds": ANSWER_S,
        "failureThreshold": failures,
    }


def _mounts(deployment: Deployment) -> list[Part]:
    mounts: list[Part] = [
        {"name": VOLUME, "mountPath": DATA},
        {"name": TEMPORARY, "mountPath": "/tmp"},
    ]
    if deployment.is_secure:
        mounts.append({"name": KEYS, "mountPath": SECRETS, "readOnly": True})
    if deployment.has_certificates:
        mounts.append({"name": CERTIFICATE_VOLUME, "mountPath": CERTIFICATES, "readOnly": True})
    return mounts


def _volumes(deployment: Deployment) -> list[Part]:
    temporary = {"medium": "Memory", "sizeLimit": f"{TEMPORARY_MIB}Mi"}
    volumes: list[Part] = [{"name": TEMPORARY, "emptyDir": temporary}]
    if deployment.is_secure:
        volumes.append(_secret(KEYS, f"{deployment.name}-keys"))
    if deployment.has_certificates:
        volumes.append(_secret(CERTIFICATE_VOLUME, f"{deployment.name}-certificates"))
    return volumes


def _secret(volume: str, secret: str) -> Part:
    return {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
