"""What to try first on a cluster, in the words of the contract that it speaks."""

import json
from collections.abc import Callable, Mapping

from cluster.topology import DEFAULT_NAME, Topology

JSON = "-H 'Content-Type: application/json'"


def first_words(topology: Topology) -> list[str]:
    """Return a few commands to begin with: a view where one is to be put, a write, a read
    elsewhere, the state of the cluster."""
    contract = topology.dialects[0]
    name = "" if topology.name == DEFAULT_NAME else f" --name {topology.name}"
    return [*WORDS.get(contract, _asg4)(topology), f".venv/bin/coterie status{name}"]


def _curl(method: str, url: str, body: object) -> str:
    text = json.dumps(body, separators=(",", ":"))
    return f"curl -X {method} {url} {JSON} -d '{text}'"


def _write_and_read(
    topology: Topology, path: str, value: Mapping[str, str], seen: Mapping[str, object]
) -> list[str]:
    """PUT at the first node and GET at the last."""
    first, last = topology.nodes[0].url, topology.nodes[-1].url
    return [
        _curl("PUT", f"{first}{path}", {**value, **seen}),
        _curl("GET", f"{last}{path}", seen),
    ]


def _asg4(topology: Topology) -> list[str]:
    return _write_and_read(topology, "/kvs/greeting", {"value": "hello"}, {"causal-metadata": {}})


def _admin_view(topology: Topology) -> list[str]:
    view = {"num_shards": topology.shards, "nodes": [node.address for node in topology.nodes]}
    write_and_read = _write_and_read(
        topology, "/kvs/data/greeting", {"val": "hello"}, {"causal-metadata": {}}
    )
    return [_curl("PUT", f"{topology.nodes[0].url}/kvs/admin/view", view), *write_and_read]


def _data_view(topology: Topology) -> list[str]:
    """The view is put to every node."""
    members = [{"address": node.address, "id": id_} for id_, node in enumerate(topology.nodes)]
    cuts = [topology.size * i // topology.shards for i in range(topology.shards + 1)]
    shards = {f"Shard{i + 1}": members[cuts[i] : cuts[i + 1]] for i in range(topology.shards)}
    first = topology.base_port
    port_of_each = f"for port in $(seq {first} {first + topology.size - 1})"
    put = _curl("PUT", "http://localhost:$port/view", {"view": shards})
    write_and_read = _write_and_read(
        topology, "/data/greeting", {"value": "hello"}, {"causal-metadata": {}}
    )
    return [f"{port_of_each}; do {put}; done", *write_and_read]


def _keys_view(topology: Topology) -> list[str]:
    path = "/kvs/keys/greeting"
    return _write_and_read(topology, path, {"value": "hello"}, {"causal-context": {}})


def _shard_view(topology: Topology) -> list[str]:
    path = "/key-value-store/greeting"
    return _write_and_read(topology, path, {"value": "hello"}, {"causal-metadata": ""})


def _dynamo(topology: Topology) -> list[str]:
    first, last = topology.nodes[0].url, topology.nodes[-1].url
    return [
        _curl("POST", f"{first}/storeData", {"key": "greeting", "value": "hello"}),
        f"curl '{last}/getData?key=greeting'",
    ]


def _peers(topology: Topology) -> list[str]:
    first, last = topology.nodes[0].url, topology.nodes[-1].url
    return [
        _curl("POST", f"{first}/store", {"key": "greeting", "value": "hello"}),
        f"curl '{last}/store/key?key=greeting'",
    ]


def _causal(topology: Topology) -> list[str]:
    first, last = topology.nodes[0].url, topology.nodes[-1].url
    return [
        _curl("POST", f"{first}/put", {"key": "greeting", "value": "hello"}),
        f"curl {last}/status",
        f"curl {last}/get/greeting",
    ]


WORDS: Mapping[str, Callable[[Topology], list[str]]] = {
    "admin_view": _admin_view,
    "causal": _causal,
    "data_view": _data_view,
    "dynamo": _dynamo,
    "keys_view": _keys_view,
    "peers": _peers,
    "shard_view": _shard_view,
}
