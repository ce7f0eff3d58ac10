"""What a deployment is, whatever runs it: its nodes, their names, their settings, times and sizes.

The one idea: a node has the same DNS name under each orchestrator, so all nodes have the same VIEW
and the same settings there, and the files cannot drift apart.  Pure: this module knows no
orchestrator's words.
"""

import re
from dataclasses import dataclass
from typing import Literal

from cluster.engines.topology import NODES_MAX, USAGE, Trouble, checked_name

Encryption = Literal["terminated", "certificates"]

PORT = 8090
USER = 10001  # of the image
IMAGE = "coterie:dev"
DATA, SECRETS, CERTIFICATES = "/data", "/run/secrets", "/run/certificates"
CLUSTER_SECRET, API_TOKENS, OPERATOR_TOKEN = "cluster-secret", "api-tokens", "operator-token"
CERTIFICATE_FILES = {"TLS_CERT": "tls.crt", "TLS_KEY": "tls.key", "TLS_CA": "ca.crt"}
# A node stops within 8 s (docs/operations.md); an orchestrator kills it later than that.
STOP_GRACE_S = 20
TEMPORARY_MIB = 16
DISK = "10Gi"
HOST_PORT_MAX = 65535
AN_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/@-]{0,255}")


@dataclass(frozen=True)
class DeployedNode:
    """One node: its name at the orchestrator, and the DNS name that its peers use.  A node that
    is `later` comes to a cluster that runs: it asks to be let in, and owns nothing until a change
    of the view."""

    index: int
    name: str
    host: str
    is_later: bool = False

    @property
    def address(self) -> str:
        return f"{self.host}:{PORT}"


@dataclass(frozen=True)
class Deployment:
    """Everything that the files say.  `host_port` is the first of the ports on the host, if the
    nodes have some there."""

    shards: int = 2
    replicas: int = 3
    name: str = "coterie"
    image: str = IMAGE
    is_secure: bool = True
    encryption: Encryption = "terminated"
    host_port: int | None = None
    later: int = 0

    def __post_init__(self) -> None:
        checked_name(self.name)
        for word, count in (("shards", self.shards), ("replicas", self.replicas)):
            if count < 1:
                raise Trouble(f"{word} is {count}; expected at least 1", USAGE)
        if self.later < 0:
            raise Trouble(f"{self.later} later nodes; expected none or more", USAGE)
        if self.size > NODES_MAX:
            raise Trouble(f"these are {self.size} nodes; expected at most {NODES_MAX}", USAGE)
        if not AN_IMAGE.fullmatch(self.image):
            raise Trouble(f'"{self.image}" is no image; expected NAME:TAG or NAME@DIGEST', USAGE)
        if self.encryption == "certificates" and not self.is_secure:
            raise Trouble("a plain deployment has no certificates; leave one out", USAGE)
        last = HOST_PORT_MAX + 1 - self.size
        if self.host_port is not None and not 1 <= self.host_port <= last:
            raise Trouble(f"first port {self.host_port}; expected 1 to {last}", USAGE)

    @property
    def size(self) -> int:
        return self.shards * self.replicas + self.later

    @property
    def nodes(self) -> tuple[DeployedNode, ...]:
        """Every node, in the order of the view; later ones last."""
        return tuple(map(self._node_at, range(self.size)))

    @property
    def first_nodes(self) -> tuple[DeployedNode, ...]:
        """The nodes that begin the cluster."""
        return self.nodes[: self.size - self.later]

    def _node_at(self, index: int) -> DeployedNode:
        ordinal = index - self.shards * self.replicas
        is_later = ordinal >= 0
        name = f"{self.later_name}-{ordinal}" if is_later else f"{self.name}-{index}"
        return DeployedNode(index, name, f"{name}.{self.name}", is_later)

    @property
    def later_name(self) -> str:
        """What the names of later nodes begin with."""
        return f"{self.name}-later"

    @property
    def has_certificates(self) -> bool:
        return self.encryption == "certificates"

    def settings_at(self, address: str, is_later: bool) -> dict[str, str]:
        """Return the settings of a node at this address.  One that comes later has no number of
        shards: so it asks the others to let it in (docs/operations.md, "Settings")."""
        view = [node.address for node in self.first_nodes] + ([address] if is_later else [])
        count = {} if is_later else {"SHARD_COUNT": str(self.shards)}
        shape = {"SOCKET_ADDRESS": address, "VIEW": ",".join(view), **count, "DATA_DIR": DATA}
        return {**shape, "LOG_FORMAT": "json", **(self._security if self.is_secure else {})}

    @property
    def _security(self) -> dict[str, str]:
        paths = {name: f"{CERTIFICATES}/{file}" for name, file in CERTIFICATE_FILES.items()}
        return {
            "SECURE": "1",
            "CLUSTER_SECRET_FILE": f"{SECRETS}/{CLUSTER_SECRET}",
            "API_TOKENS_FILE": f"{SECRETS}/{API_TOKENS}",
            "PEER_NETWORKS": f".{self.name}",
            **(paths if self.has_certificates else {"TLS": "terminated"}),
        }

    def settings_of(self, node: DeployedNode) -> dict[str, str]:
        return self.settings_at(node.address, node.is_later)

    def host_port_of(self, node: DeployedNode) -> int | None:
        return None if self.host_port is None else self.host_port + node.index
