"""Shell commands for the first minutes with a contract."""

import json
from collections.abc import Mapping, Sequence

from node.api.entry import Machine

JSON = "-H 'Content-Type: application/json'"


def curl(method: str, url: str, body: object) -> str:
    """Return the command that sends this JSON body."""
    text = json.dumps(body, separators=(",", ":"))
    return f"curl -X {method} {url} {JSON} -d '{text}'"


def write_and_read(
    nodes: Sequence[Machine], path: str, value: Mapping[str, str], seen: Mapping[str, object]
) -> list[str]:
    """Return the commands that write at the first node and read at the last."""
    return [
        curl("PUT", f"{nodes[0].url}{path}", {**value, **seen}),
        curl("GET", f"{nodes[-1].url}{path}", seen),
    ]
