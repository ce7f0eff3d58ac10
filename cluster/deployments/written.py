"""The files of a deployment as text: the file of each orchestrator, YAML with a heading."""

from collections.abc import Callable
from typing import Any, Literal

import yaml

from cluster.deployments.compose import compose
from cluster.deployments.description import Deployment
from cluster.deployments.kubernetes import kubernetes
from cluster.deployments.swarm import swarm

Orchestrator = Literal["compose", "swarm", "kubernetes"]

FILES: dict[Orchestrator, str] = {
    "compose": "compose.yaml",
    "swarm": "swarm.yaml",
    "kubernetes": "kubernetes.yaml",
}
DOCUMENTS: dict[Orchestrator, Callable[[Deployment], Any]] = {
    "compose": lambda deployment: [compose(deployment)],
    "swarm": lambda deployment: [swarm(deployment)],
    "kubernetes": kubernetes,
}
COLUMNS = 100


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice, and lists below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def command_of(orchestrator: Orchestrator, deployment: Deployment) -> str:
    """Return the command that writes this file."""
    words = [f"--shards {deployment.shards} --replicas {deployment.replicas}"]
    usual = Deployment()
    if deployment.name != usual.name:
        words.append(f"--name {deployment.name}")
    if deployment.image != usual.image:
        words.append(f"--image {deployment.image}")
    if deployment.has_certificates:
        words.append("--tls certificates")
    if not deployment.is_secure:
        words.append("--plain")
    if deployment.later:
        words.append(f"--later {deployment.later}")
    if deployment.host_port is not None:
        words.append(f"--port {deployment.host_port}")
    return f"coterie deploy {orchestrator} {' '.join(words)}"


def text_of(orchestrator: Orchestrator, deployment: Deployment) -> str:
    """Return the whole file."""
    heading = (
        f"# Written by `{command_of(orchestrator, deployment)}`: do not change it by hand.\n"
        "# docs/deploy.md says how to start it, and where its secrets come from.\n"
    )
    documents = DOCUMENTS[orchestrator](deployment)
    body = yaml.dump_all(
        documents, Dumper=_Plain, sort_keys=False, width=COLUMNS, default_flow_style=False
    )
    return heading + body
