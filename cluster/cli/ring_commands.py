"""What `coterie ring` does: it shows and changes the ring in the terms of the Dynamo paper.

`add` and `remove` change the ring in one command that ends when the data has moved.  `nodes` shows
a key's preference list, and `containers` what runs each node.  The single steps, with plans, are
`coterie add` and `coterie view`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cluster.cli import view_commands
from cluster.engines.add_node import add_node as another_node
from cluster.engines.console import Report, say, table
from cluster.engines.engine import Engine, NodeState, recalled
from cluster.engines.topology import NOT_FOUND, TopologyNode, Trouble


def add_node(engine: Engine, wait_s: float, report: Report, home: Path) -> TopologyNode:
    """Start one more node, give it its share of the ring, and wait until it has the data."""
    node = another_node(engine, wait_s, report, home)
    view_commands.watch(engine, wait_s, report)
    _change(engine, view_commands.Change(shards=len(_view(engine)["shards"])), wait_s, report)
    return node


def remove_node(engine: Engine, name: str, wait_s: float, report: Report) -> None:
    """Take a node off the ring, wait until the others have its data, and stop it."""
    node = recalled(engine).node(name)
    if node.address not in _view(engine)["nodes"]:
        words = "`coterie view show` lists its nodes"
        raise Trouble(f"{name} is not in the ring; {words}", NOT_FOUND)
    _change(engine, view_commands.Change(remove=[name]), wait_s, report)
    with report.phase(f"{name} stopped"):
        engine.halt([name])


def _change(engine: Engine, change: view_commands.Change, wait_s: float, report: Report) -> None:
    document = view_commands.plan(engine, change, as_json=False)
    if view_commands.is_change(document):
        view_commands.commit(engine, str(document["plan"]), force=False, report=report)
        view_commands.watch(engine, wait_s, report)


def _view(engine: Engine) -> dict[str, Any]:
    view: dict[str, Any] = view_commands.asked(engine, "GET", view_commands.VIEW)["view"]
    return view


def show_nodes(engine: Engine, key: str, how_many: int, as_json: bool) -> None:
    """Print the first nodes of a key's preference list: its owners, then those that follow."""
    document = view_commands.asked(engine, "GET", f"{view_commands.VIEW}?key={quote(key, safe='')}")
    place, rows = document["key"], preference(document, how_many)
    if as_json:
        say(json.dumps({**place, "nodes": rows}, indent=1))
        return
    names = view_commands.Names(recalled(engine))
    say(f"{key}: slot {place['slot']}, shard {place['shard'] or '-'}")
    cells = [
        (str(n), names(row["node"]), row["shard"], _yes(row["owner"]), _yes(row["alive"]))
        for n, row in enumerate(rows, 1)
    ]
    say(table(("", "NODE", "SHARD", "OWNER", "UP"), cells))


def preference(document: Mapping[str, Any], how_many: int) -> list[dict[str, Any]]:
    """Return the first nodes of the list: their shards, and whether they own the key and are up."""
    place, shards = document["key"], document["view"]["shards"]
    shard_of = {node: shard for shard, members in shards.items() for node in members}
    return [
        {
            "node": node,
            "shard": shard_of[node],
            "owner": shard_of[node] == place["shard"],
            "alive": document["nodes"][node]["alive"],
        }
        for node in place["nodes"][:how_many]
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def show_containers(engine: Engine, as_json: bool) -> None:
    """Print what runs each node: its container, or its process."""
    topology, states, runs = recalled(engine), engine.states(), engine.containers()
    rows = [
        {
            "name": node.name,
            "engine": engine.kind,
            "container": runs.get(node.name, ""),
            "state": states.get(node.name, NodeState.MISSING),
            "url": node.url,
            "address": node.address,
        }
        for node in topology.nodes
    ]
    if as_json:
        say(json.dumps(rows, indent=1))
        return
    heads = ("NODE", "ENGINE", "CONTAINER", "STATE", "HOST", "ADDRESS")
    say(table(heads, [tuple(str(each) or "-" for each in row.values()) for row in rows]))
