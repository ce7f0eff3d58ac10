"""The document of an image: valid CycloneDX, the same each time, with packages of both kinds."""

import json
import sys
from datetime import UTC, datetime

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cluster.deployments import sbom
from cluster.engines import docker_image
from cluster.engines.containers import docker_client
from tests.deployments.deployed import run

MADE = datetime(2026, 12, 1, tzinfo=UTC)
DEBIAN = "zlib1g 1:1.2.13.dfsg-1 amd64\nadduser 3.134 all\nadduser 3.134 all\n"
PYTHON = "aiohttp 3.14.3\nMsgSpec 0.19.0\n"
RELEASE = 'NAME="Debian"\nVERSION_CODENAME=bookworm\n'


def written(image_id: str = "sha256:1") -> str:
    return sbom.document("coterie:dev", image_id, MADE, DEBIAN, PYTHON, RELEASE)


def test_packages_of_both_kinds_are_in_the_document() -> None:
    found = sorted(each["purl"] for each in json.loads(written())["components"])
    assert found == [
        "pkg:deb/debian/adduser@3.134?arch=all&distro=bookworm",
        "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=bookworm",
        "pkg:pypi/aiohttp@3.14.3",
        "pkg:pypi/msgspec@0.19.0",
    ]


def test_the_document_is_valid() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(written()) is None
    assert validator.validate_str(written().replace('"components"', '"parts"')) is not None


def test_one_image_has_one_document() -> None:
    assert written() == written()
    assert written() != written("sha256:2")


@pytest.mark.slow
@pytest.mark.xdist_group("docker")
def test_the_command_lists_what_is_in_the_node_image() -> None:
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO DOCKER ENGINE: no image is listed ({problem})")
    said = run(sys.executable, "-m", "cluster", "deploy", "sbom", "--image", docker_image.TAG)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said) is None
    found = {each["purl"].partition("@")[0] for each in json.loads(said)["components"]}
    assert {"pkg:pypi/aiohttp", "pkg:pypi/msgspec", "pkg:deb/debian/libc6"} <= found
    assert "pkg:pypi/pytest" not in found
