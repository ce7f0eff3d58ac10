"""What `coterie deploy sbom` does: ask an image what is in it, and say that as CycloneDX."""

from datetime import datetime
from typing import Any

import docker.errors

from cluster.deployments import sbom
from cluster.engines.console import say
from cluster.engines.containers import docker_client
from cluster.engines.topology import NOT_FOUND, UNAVAILABLE, Trouble


def write_sbom(image: str) -> None:
    """Print the document.  The container that lists the packages has no network and no rights."""
    client, problem = docker_client()
    if client is None:
        raise Trouble(f"{problem}; start Docker: the packages are listed in the image", UNAVAILABLE)
    try:
        about = client.images.get(image).attrs
    except docker.errors.ImageNotFound:
        words = f"no image {image} here; build it with `make image`, or name another with --image"
        raise Trouble(words, NOT_FOUND) from None
    debian, python, release = (
        _listed(client, image, command)
        for command in (sbom.DEBIAN_LISTING, sbom.PYTHON_LISTING, sbom.RELEASE_FILE)
    )
    made = datetime.fromisoformat(f"{about['Created'][:19]}+00:00")
    say(sbom.document(image, about["Id"], made, debian, python, release))


def _listed(client: Any, image: str, command: list[str]) -> str:
    printed: bytes = client.containers.run(
        image,
        command,
        entrypoint="",
        remove=True,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )
    return printed.decode()
