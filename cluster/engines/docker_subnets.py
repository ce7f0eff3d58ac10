"""The subnets of a Docker engine: lists those that are taken, and keeps ours clear of them."""

from http import HTTPStatus
from typing import Any

import docker.errors
import docker.types

from cluster.engines import node_client
from cluster.engines.topology import (
    UNAVAILABLE,
    SubnetTaken,
    Trouble,
    automatic_range,
    gateway_of,
    overlapping,
)

GONE_S = 20.0  # Docker has forgotten the containers of a network


def taken(client: Any) -> dict[str, str]:
    """Return the IPv4 subnets of all networks of the engine, by name."""
    subnets = {network.name: of(network) for network in client.networks.list()}
    return {name: subnet for name, subnet in subnets.items() if subnet}


def of(network: Any) -> str:
    """Return the IPv4 subnet of a network, or "" if it has none."""
    pools = (network.attrs.get("IPAM") or {}).get("Config") or []
    return next((pool["Subnet"] for pool in pools if "." in pool.get("Subnet", "")), "")


def expect_free(client: Any, subnet: str) -> None:
    """Refuse a subnet that overlaps a network of the engine, and name the network."""
    clash = overlapping(subnet, taken(client))
    if clash:
        raise _refusal(subnet, clash)


def create(client: Any, name: str, subnet: str, labels: dict[str, str]) -> None:
    """Make the network; Docker takes addresses that no container asks for from its upper half."""
    pool = docker.types.IPAMPool(
        subnet=subnet, iprange=automatic_range(subnet), gateway=gateway_of(subnet)
    )
    ipam = docker.types.IPAMConfig(pool_configs=[pool])
    try:
        client.networks.create(name, driver="bridge", ipam=ipam, labels=labels)
    except docker.errors.APIError as refusal:
        if "overlaps" in str(refusal.explanation):
            raise _refusal(subnet, "made this moment") from None
        raise


def remove(network: Any, within_s: float = GONE_S) -> None:
    """Remove a network, with what is still attached to it.

    Docker ends the endpoint of a container after the container, under load seconds later.  Until
    then it refuses to remove the network.  Raises Trouble if it still refuses after `within_s`.
    """
    if node_client.until(lambda: True if _is_removed(network) else None, within_s) is None:
        raise Trouble(
            f'Docker does not remove the network "{network.name}": it still counts endpoints there;'
            f" remove it with `docker network rm {network.name}`, or start Docker again",
            UNAVAILABLE,
        )


def _is_removed(network: Any) -> bool:
    """Try once; return whether the network is gone."""
    try:
        network.reload()
    except docker.errors.NotFound:
        return True
    try:
        for endpoint in (network.attrs.get("Containers") or {}).values():
            network.disconnect(endpoint["Name"], force=True)
        network.remove()
    except docker.errors.APIError as refusal:
        if refusal.status_code in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return False  # endpoints come and go: look again
        raise
    return True


def _refusal(subnet: str, network: str) -> SubnetTaken:
    return SubnetTaken(
        f'subnet {subnet} overlaps the network "{network}"; expected a free one:'
        " take SUBNET=auto (--subnet auto), or remove that network"
    )
