"""The peers contract: every node holds all keys, and knows the others by their URLs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from node.addresses import AN_ADDRESS, canonical
from node.api.dialects.first_commands import curl
from node.api.entry import Entry, Given, Machine, Texts
from node.setting_types import BadSetting, Kind, Setting, read_peers, seconds, whole

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings

OWN_HOST = "localhost"  # the host of a node that is given only its port
SETTINGS = (
    Setting(
        "PORT",
        whole(1, 65535),
        "",
        "",
        "peers: the port of our address; its host is that of PEERS",
        stands_for="SOCKET_ADDRESS",
    ),
    Setting(
        "PEERS",
        Kind(read_peers, "URLs http://host:port with commas between them"),
        "",
        "",
        "peers: the other nodes, instead of VIEW; all hold all keys",
        stands_for="VIEW",
    ),
    Setting(
        "PINGFREQ", seconds(0.05, 3600), "seconds", "", "peers: REPAIR_EVERY_S", "REPAIR_EVERY_S"
    ),
    Setting("TIMEOUT", seconds(0, 60), "seconds", "", "peers: MAX_WAIT_S", "MAX_WAIT_S"),
)


class Peers(Entry):
    name = "peers"
    settings = SETTINGS

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.peers.handlers import peers

        return peers()

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        """Recognize PEERS, or PORT if no other setting gives this node's address.

        Many programs have a PORT, so it counts only then.
        """
        is_meant = given["PEERS"] or (given["PORT"] and not given.is_placed)
        return (self.name,) if is_meant and not given["VIEW"] else ()

    def translated(self, given: Given) -> Texts:
        """Return what PORT, PEERS, PINGFREQ and TIMEOUT stand for; general settings override
        them.
        """
        if not self.recognized_by(given):
            return {}
        told: dict[str, Any] = {s.name: s.read(given[s.name]) for s in SETTINGS}
        peers = told["PEERS"] or ()
        own = given["SOCKET_ADDRESS"]
        own = _checked(own) if own else _own(told["PORT"], peers, given["PEERS"])
        return {
            "SOCKET_ADDRESS": own,
            "VIEW": ",".join(sorted({own, *peers}, key=_by_port)),
            "SHARD_COUNT": given["SHARD_COUNT"] or "1",
            "REPAIR_EVERY_S": given["REPAIR_EVERY_S"] or given["PINGFREQ"],
            "MAX_WAIT_S": given["MAX_WAIT_S"] or given["TIMEOUT"],
        }

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        return [
            curl("POST", f"{nodes[0].url}/store", {"key": "greeting", "value": "hello"}),
            f"curl '{nodes[-1].url}/store/key?key=greeting'",
        ]


def _checked(address: str) -> str:
    try:
        return canonical(address)
    except ValueError:
        raise BadSetting("SOCKET_ADDRESS", address, AN_ADDRESS) from None


def _own(port: int | None, peers: Sequence[str], text: str) -> str:
    """Return this node's address: its host is the host of its peers."""
    hosts = {peer.rpartition(":")[0] for peer in peers} or {OWN_HOST}
    if len(hosts) > 1:
        raise BadSetting("PEERS", text, "nodes of one host, or SOCKET_ADDRESS beside them")
    if port is None:
        raise BadSetting("PORT", "", "our port, as the others name it")
    return f"{hosts.pop()}:{port}"


def _by_port(address: str) -> tuple[str, str]:
    """A sort key, so that all nodes put the same addresses into the same order."""
    host, _, port = address.rpartition(":")
    return host, port.zfill(5)
