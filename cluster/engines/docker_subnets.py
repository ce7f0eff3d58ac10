"""The subnets of a Docker engine: lists those that are taken, and keeps ours clear of them."""

from typing import Any

import docker.errors
import docker.types

from cluster.engines.topology import SubnetTaken, automatic_range, gateway_of, overlapping


def taken(client: Any) -> dict[str, str]:
    """Return the IPv4 subnets of all networks of the engine, by name."""
    found = {}
    for network in client.networks.list():
        for pool in (network.attrs.get("IPAM") or {}).get("Config") or []:
            if "." in pool.get("Subnet", ""):
                found[network.name] = pool["Subnet"]
    return found


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


def _refusal(subnet: str, network: str) -> SubnetTaken:
    return SubnetTaken(
        f'subnet {subnet} overlaps the network "{network}"; expected a free one:'
        " take SUBNET=auto (--subnet auto), or remove that network"
    )
