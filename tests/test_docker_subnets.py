"""A network goes although Docker counts endpoints of containers that have ended.

The Docker engine is a script here: what it refuses, and how often, cannot be asked of a real one.
"""

from http import HTTPStatus
from typing import Any

import docker.errors
import pytest
import requests

from cluster.engines import docker_subnets
from cluster.engines.topology import Trouble


class ScriptedNetwork:
    """Refuses to go so many times, and shows these endpoints until they are disconnected."""

    name = "coterie-scripted"

    def __init__(self, refusals: int, *endpoints: str, status: int = HTTPStatus.FORBIDDEN) -> None:
        self.refusals, self.status = refusals, status
        self.attrs: dict[str, Any] = {"Containers": {f"ep-{e}": {"Name": e} for e in endpoints}}
        self.disconnected: list[str] = []
        self.is_gone = False

    def reload(self) -> None:
        if self.is_gone:
            raise docker.errors.NotFound("no such network")

    def disconnect(self, name: str, force: bool) -> None:
        assert force
        self.disconnected.append(name)
        self.attrs = {}

    def remove(self) -> None:
        if self.refusals:
            self.refusals -= 1
            reply = requests.Response()
            reply.status_code = self.status
            raise docker.errors.APIError("has active endpoints", reply)
        self.is_gone = True


def test_it_goes_when_docker_has_forgotten_the_endpoints() -> None:
    network = ScriptedNetwork(2, "coterie-scripted-alice")
    docker_subnets.remove(network)
    assert network.is_gone
    assert network.disconnected == ["coterie-scripted-alice"]
    docker_subnets.remove(network)  # another program was faster


def test_what_docker_never_forgets_is_named() -> None:
    with pytest.raises(Trouble, match="docker network rm coterie-scripted"):
        docker_subnets.remove(ScriptedNetwork(1000), within_s=0.2)


def test_other_refusals_are_passed_on() -> None:
    with pytest.raises(docker.errors.APIError):
        docker_subnets.remove(ScriptedNetwork(1, status=HTTPStatus.INTERNAL_SERVER_ERROR))
