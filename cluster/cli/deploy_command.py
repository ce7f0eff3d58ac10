"""What `coterie deploy` does: write the files of a deployment, and the secrets of a new cluster."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.run import Run
from cluster.cli.sbom_command import write_sbom
from cluster.deployments import published
from cluster.deployments.description import (
    IMAGE,
    OPERATOR_TOKEN,
    Deployment,
    Encryption,
)
from cluster.deployments.kubernetes import secret_command
from cluster.deployments.written import FILES, Orchestrator, text_of
from cluster.engines.console import Report, say
from cluster.engines.topology import HOST_PORT, Trouble
from node.security import first_keys

deploy = typer.Typer(
    help="Files for Compose, Swarm and Kubernetes: `coterie deploy compose`.", no_args_is_help=True
)
report = Report()

Shards = Annotated[int, typer.Option(help="Replica groups.")]
Replicas = Annotated[int, typer.Option(help="Nodes a shard.")]
Name = Annotated[str, typer.Option("--name", help="Of the deployment, and of its domain.")]
Image = Annotated[str, typer.Option(help="Of a node.")]
Tls = Annotated[
    Encryption,
    typer.Option("--tls", help="terminated: the network encrypts; certificates: the nodes do."),
]
Plain = Annotated[bool, typer.Option("--plain", help="Without secrets: on a laptop alone.")]
Later = Annotated[int, typer.Option(help="Nodes that come to a cluster that runs.")]
To = Annotated[Path, typer.Option("--to", help="The folder.")]
HERE, SECRETS = Path(), Path("secrets")


@deploy.command("compose")
def write_compose(
    shards: Shards = 2,
    replicas: Replicas = 3,
    name: Name = "coterie",
    image: Image = IMAGE,
    tls: Tls = "terminated",
    plain: Plain = False,
    later: Later = 0,
    port: Annotated[int, typer.Option(help="The first one on this machine.")] = HOST_PORT,
    to: To = HERE,
) -> None:
    """Write compose.yaml: all nodes on one machine, reached on its loopback alone."""
    deployment = Deployment(shards, replicas, name, image, not plain, tls, port, later)
    _write("compose", deployment, to)
    report.note(f"docker compose -f {to / FILES['compose']} up --build --detach")


@deploy.command("swarm")
def write_swarm(
    shards: Shards = 2,
    replicas: Replicas = 3,
    name: Name = "coterie",
    image: Image = IMAGE,
    tls: Tls = "terminated",
    plain: Plain = False,
    later: Later = 0,
    port: Annotated[
        int | None, typer.Option(help="The first one on the hosts. [default: none]")
    ] = None,
    to: To = HERE,
) -> None:
    """Write swarm.yaml: each node is a service of a stack, on an overlay network."""
    deployment = Deployment(shards, replicas, name, image, not plain, tls, port, later)
    _write("swarm", deployment, to)
    if not plain:
        report.note(f"coterie deploy keys --to {to / SECRETS}    # once, before the first start")
    report.note(f"docker stack deploy --compose-file {to / FILES['swarm']} {name}")


@deploy.command("kubernetes")
def write_kubernetes(
    shards: Shards = 2,
    replicas: Replicas = 3,
    name: Name = "coterie",
    image: Image = IMAGE,
    tls: Tls = "terminated",
    plain: Plain = False,
    later: Later = 0,
    to: To = HERE,
) -> None:
    """Write kubernetes.yaml: a StatefulSet, its services and its disruption budget."""
    deployment = Deployment(shards, replicas, name, image, not plain, tls, None, later)
    _write("kubernetes", deployment, to)
    if not plain:
        report.note(f"coterie deploy keys    # once; then: {secret_command(deployment)}")
    report.note(f"kubectl apply -f {to / FILES['kubernetes']}")


def _write(orchestrator: Orchestrator, deployment: Deployment, to: Path) -> None:
    path = to / FILES[orchestrator]
    try:
        to.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(orchestrator, deployment), encoding="utf-8")
        if deployment.host_port is not None:
            published.note(deployment, Run.home)
    except OSError as error:
        raise Trouble(f"cannot write {path}: {error.strerror}") from error
    say(str(path))


@deploy.command("keys")
def make_keys(to: To = SECRETS) -> None:
    """Make the secrets of a new cluster; those that are there stay."""
    try:
        made = first_keys.make(to)
    except OSError as error:
        raise Trouble(f"cannot make keys in {to}: {error.strerror}") from error
    for name in made:
        say(str(to / name))
    words = f"export COTERIE_TOKEN=$(cat {to / OPERATOR_TOKEN})"
    report.note(words if made else f"all keys are in {to} already")


@deploy.command("sbom")
def print_sbom(image: Image = IMAGE) -> None:
    """Print what is in the image, as CycloneDX: `coterie deploy sbom > sbom.json`."""
    write_sbom(image)
