"""Which addresses a change of the view may name, so that no client makes nodes call others.

A name is allowed by itself or by its domain, since it is not looked up; `localhost` counts as
127.0.0.1.  Pure.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

IPV4_BITS, IPV6_BITS = 16, 64  # of the network around a node of the first view
LOOPBACK = ("127.0.0.0/8", "::1/128")

Network = IPv4Network | IPv6Network


class PeerNetworks(NamedTuple):
    """Networks of IP addresses, whole names, and domains that begin with a dot ("" and no dot in
    a name: its domain is none)."""

    networks: tuple[Network, ...]
    names: frozenset[str]
    domains: frozenset[str]

    def strangers(self, addresses: Iterable[str]) -> list[str]:
        """Return those of these addresses host:port that are not allowed."""
        return [address for address in addresses if not self._has(_host_of(address))]

    def _has(self, host: str) -> bool:
        if host == "localhost":
            host = "127.0.0.1"
        try:
            number = ip_address(host)
        except ValueError:
            return host in self.names or _is_in(host, self.domains)
        return any(number in network for network in self.networks)


def networks_in(text: str) -> PeerNetworks:
    """Read the setting.  Raises ValueError."""
    networks, names, domains = list[Network](), set[str](), set[str]()
    for word in filter(None, (word.strip().lower() for word in text.split(","))):
        if word[0].isdigit() or ":" in word:
            networks.append(ip_network(word))
        elif word.startswith("."):
            domains.add(word)
        elif word.replace("-", "a").replace(".", "a").replace("_", "a").isalnum():
            names.add(word)
        else:
            raise ValueError(word)
    if not (networks or names or domains):
        raise ValueError(text)
    return PeerNetworks(tuple(networks), frozenset(names), frozenset(domains))


def networks_around(addresses: Sequence[str]) -> PeerNetworks:
    """Return what is near the nodes of the first view: their networks, and their domains.

    Loopback counts where a node is on it.
    """
    networks, domains = set[Network](), set[str]()
    for host in map(_host_of, addresses):
        try:
            number = ip_address("127.0.0.1" if host == "localhost" else host)
        except ValueError:
            domains.add(_domain_of(host))
            continue
        if number.is_loopback:
            networks.update(map(ip_network, LOOPBACK))
        else:
            bits = IPV4_BITS if number.version == 4 else IPV6_BITS
            networks.add(ip_network(f"{number}/{bits}", strict=False))
    return PeerNetworks(tuple(sorted(networks, key=str)), frozenset(), frozenset(domains))


def _host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _domain_of(host: str) -> str:
    return "".join(host.partition(".")[1:])


def _is_in(host: str, domains: frozenset[str]) -> bool:
    return any(host.endswith(each) if each else "." not in host for each in domains)
