"""The shape of a cluster, as values: its nodes, where they listen, the groups they form.

Pure: no process, no container, no clock.  Names, addresses and ports must be the same on every
start, so this module computes them all from a `Topology`.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

EngineKind = Literal["docker", "process"]

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
NODES_MAX = 64
MEMORY_MIB = 512  # of a node: 140 MiB, the cache of 64 MiB, and room for bodies of requests
PROCESSES_MAX = 128  # threads count, too; a node has about ten
NODE_PORT = 8090
HOST_PORT = 8082
HOST_PORT_MAX = 65535
FIRST_ADDRESS = 2  # .0 is the network's own address and .1 the gateway's
DEFAULT_NAME = "dev"
DEFAULT_SHARDS = 2
DEFAULT_REPLICAS = 3
SUBNETS = tuple(f"10.{second}.0.0/16" for second in range(10, 250))
DIALECT = "asg4,dynamo,peers"  # given explicitly: a node without it decides by its port
VIEWLESS = {"admin_view", "data_view"}  # contracts whose nodes begin without a view
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Trouble(Exception):
    """An error for the user: one sentence (what is wrong, expected, to do), and an exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class SubnetTaken(Trouble):
    """The subnet overlaps an existing network."""


FAILURE, USAGE, NOT_FOUND, CONFLICT, UNAVAILABLE = 1, 2, 3, 4, 5


@dataclass(frozen=True)
class TopologyNode:
    """One node: its name, the address that its peers use, the port of this host for it, and whether
    it speaks TLS."""

    name: str
    ip: str
    port: int
    host_port: int
    is_encrypted: bool = False

    @property
    def address(self) -> str:
        """The node's SOCKET_ADDRESS, which is also its name in the view."""
        return f"{self.ip}:{self.port}"

    @property
    def url(self) -> str:
        """The URL at which a client on this host finds the node."""
        if self.is_encrypted:  # its certificate names an address, and seldom localhost
            return f"https://127.0.0.1:{self.host_port}"
        return f"http://localhost:{self.host_port}"


@dataclass(frozen=True)
class Topology:
    """Everything that decides the shape of a cluster; equal topologies are equal clusters."""

    name: str
    shards: int
    replicas: int
    engine: EngineKind
    subnet: str = ""
    base_port: int = HOST_PORT
    settings: dict[str, str] = field(default_factory=dict)
    added: int = 0  # nodes that came later: they join the others' view

    def __post_init__(self) -> None:
        checked_name(self.name)
        for word, count in (("shards", self.shards), ("replicas", self.replicas)):
            if count < 1:
                raise Trouble(f"{word} is {count}; expected at least 1", USAGE)
        if self.size > NODES_MAX:
            raise Trouble(
                f"{self.shape} are {self.size} nodes;"
                f" expected at most {NODES_MAX}: ask for fewer of either",
                USAGE,
            )
        if not 1 <= self.base_port <= HOST_PORT_MAX + 1 - self.size:
            raise Trouble(
                f"first host port {self.base_port} leaves no room for {self.size} ports;"
                f" expected 1 to {HOST_PORT_MAX + 1 - self.size}",
                USAGE,
            )
        if self.engine == "docker":
            checked_subnet(self.subnet, self.size)

    @property
    def size(self) -> int:
        """The number of nodes."""
        return self.shards * self.replicas + self.added

    @property
    def nodes(self) -> tuple[TopologyNode, ...]:
        """Every node, in the order of the view."""
        return tuple(self._node_at(index) for index in range(self.size))

    def _node_at(self, index: int) -> TopologyNode:
        host_port, is_encrypted = self.base_port + index, bool(self.settings.get("TLS_CERT"))
        ip, port = "127.0.0.1", host_port
        if self.engine != "process":
            network = ipaddress.ip_network(self.subnet)
            ip, port = str(network[FIRST_ADDRESS + index]), NODE_PORT
        return TopologyNode(name_of(index), ip, port, host_port, is_encrypted)

    @property
    def shape(self) -> str:
        """The original size, in words."""
        later = f" and {counted(self.added, 'node')} added" if self.added else ""
        return f"{counted(self.shards, 'shard')} x {counted(self.replicas, 'replica')}{later}"

    @property
    def dialects(self) -> tuple[str, ...]:
        """The contracts that the nodes speak."""
        return tuple(word.strip() for word in self.settings.get("DIALECT", DIALECT).split(","))

    @property
    def is_viewless(self) -> bool:
        """Whether the nodes wait until a client puts a view."""
        return not VIEWLESS.isdisjoint(self.dialects)

    def larger(self) -> "Topology":
        """The same cluster with one more node."""
        return replace(self, added=self.added + 1)

    def node(self, name: str) -> TopologyNode:
        """Return the node of this name; raise Trouble with the names that exist."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise Trouble(f'no node "{name}" in cluster "{self.name}"; expected one of {names}', 3)

    def environment(self, node: TopologyNode) -> dict[str, str]:
        """Return the settings of a node, without those that only an engine knows (DATA_DIR)."""
        return {
            "DIALECT": DIALECT,
            **self.settings,
            "SOCKET_ADDRESS": node.address,
            **self._view_of(node),
            **({"NODE_IDENTIFIER": self._id_of(node)} if "data_view" in self.dialects else {}),
            "ENABLE_FAULTS": "1",
        }

    def _id_of(self, node: TopologyNode) -> str:
        return str([other.name for other in self.nodes].index(node.name))

    def _view_of(self, node: TopologyNode) -> dict[str, str]:
        """Return the VIEW of a node; a node that came later gets the others, to ask them.

        Nodes of some contracts get none, and wait until a client puts a view.
        """
        if self.is_viewless:
            return {}
        first = self.nodes[: self.size - self.added]
        if node in first:
            return {"VIEW": addresses_of(first), "SHARD_COUNT": str(self.shards)}
        return {"VIEW": addresses_of(self.nodes)}

    def to_json(self) -> dict[str, Any]:
        """Return the form that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Topology":
        """Read the form of `to_json`."""
        return cls(**document)


def addresses_of(nodes: Iterable[TopologyNode]) -> str:
    """Return the nodes' addresses in the form of VIEW."""
    return ",".join(node.address for node in nodes)


def counted(count: int, noun: str) -> str:
    """Return the count with its noun, in the plural where needed."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def name_of(index: int) -> str:
    """Return the name of the node at this index: alice, bob, ... judy, n11, n12, ..."""
    return NAMES[index] if index < len(NAMES) else f"n{index + 1}"


def checked_name(name: str) -> str:
    """Return the cluster's name; refuse one that cannot be part of container names."""
    if NAME_PATTERN.fullmatch(name):
        return name
    raise Trouble(
        f'cluster name "{name}" is not usable; expected a small letter and then at most 31 small'
        " letters, digits or hyphens",
        USAGE,
    )


def checked_subnet(subnet: str, size: int) -> None:
    """Refuse a text that is no IPv4 network with room for `size` nodes in its lower half."""
    try:
        network = ipaddress.IPv4Network(subnet)
    except ValueError as problem:
        raise Trouble(
            f'subnet "{subnet}" is not usable ({problem}); expected one like 10.11.0.0/16, or auto',
            USAGE,
        ) from None
    if network.num_addresses // 2 < size + FIRST_ADDRESS:
        raise Trouble(f"subnet {subnet} is too small for {size} nodes; take a larger one", USAGE)


def automatic_range(subnet: str) -> str:
    """Return the upper half of a subnet, for addresses that no container asks for.

    So these stay clear of our nodes' addresses.
    """
    return str(list(ipaddress.ip_network(subnet).subnets(prefixlen_diff=1))[1])


def gateway_of(subnet: str) -> str:
    """Return the address of the subnet's gateway."""
    return str(ipaddress.ip_network(subnet)[1])


def overlapping(subnet: str, taken: dict[str, str]) -> str | None:
    """Return the name of the first taken network (name -> subnet) that overlaps, or None."""
    wanted = ipaddress.ip_network(subnet)
    for name, other in taken.items():
        if wanted.version == ipaddress.ip_network(other).version and wanted.overlaps(
            ipaddress.ip_network(other)
        ):
            return name
    return None


def free_subnet(taken: dict[str, str]) -> str:
    """Return the first of our subnets that overlaps no taken network."""
    for subnet in SUBNETS:
        if overlapping(subnet, taken) is None:
            return subnet
    raise Trouble("every subnet from 10.10.0.0/16 up is in use; name a free one with SUBNET=", 1)


def first_free_block(size: int, busy: Iterable[int], start: int = HOST_PORT) -> int:
    """Return the lowest first port, from `start` up, of `size` ports that are all free."""
    first = start
    for port in sorted(set(busy)):
        if port >= first + size:
            break
        first = max(first, port + 1)
    if first + size - 1 > HOST_PORT_MAX:
        raise Trouble(f"no {size} free ports in a row from {start} up; stop another cluster", 1)
    return first


def groups_of(text: str, topology: Topology) -> list[list[str]]:
    """Read 'alice | bob,carol'; the nodes that it does not name form one more group."""
    groups = [re.split(r"[\s,]+", part.strip()) for part in text.split("|")]
    groups = [[name for name in group if name] for group in groups]
    named = [name for group in groups for name in group]
    for name in named:
        topology.node(name)
    twice = {name for name in named if named.count(name) > 1}
    if twice:
        raise Trouble(f"{min(twice)} is in two groups of '{text}'; expected each node once", USAGE)
    rest = [node.name for node in topology.nodes if node.name not in named]
    groups = [group for group in [*groups, rest] if group]
    if len(groups) < 2:
        raise Trouble(
            f"'{text}' leaves all nodes together; expected groups, as in 'a | b,c'", USAGE
        )
    return groups


def cuts_of(groups: Sequence[Sequence[str]]) -> dict[str, set[str]]:
    """Return for each node the nodes of all other groups."""
    everyone = {name for group in groups for name in group}
    return {name: everyone - set(group) for group in groups for name in group}


def shard_of(address: str, view: dict[str, Any]) -> str:
    """Return the shard of an address in a node's view; '-' if it has none."""
    shards: dict[str, list[str]] = view.get("shards", {})
    names = dict(zip(view.get("addresses", ()), view.get("nodes", ()), strict=False))
    node = names.get(address, address)
    return next((shard for shard, members in shards.items() if node in members), "-")


def disagreement(views: dict[str, dict[str, Any] | None]) -> str | None:
    """Return the name of a node whose view differs from the first one's.

    None if all nodes report one view.
    """
    silent = [name for name, view in views.items() if view is None]
    if silent:
        return f"{silent[0]} does not tell its view"
    first, *others = views
    differing = [name for name in others if views[name] != views[first]]
    if differing:
        return f"{differing[0]} has another view than {first}"
    return None
