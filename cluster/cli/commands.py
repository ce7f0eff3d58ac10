"""What each command of `coterie` does, apart from reading its arguments.

Every function takes an engine.  It writes its result to stdout and its progress to stderr, and
raises `Trouble` with the exit code when it cannot keep its promise.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.cli.doctor import examine
from cluster.cli.first_commands import first_words
from cluster.engines import node_client
from cluster.engines.console import Report, say, table
from cluster.engines.engine import Engine, NodeState, recalled
from cluster.engines.launch import UpOptions, endpoints_document, node_rows, up, withdraw
from cluster.engines.topology import Trouble, counted, disagreement, groups_of, shard_of

CONTENT_SHOWN = 8  # characters of a hash: they distinguish three replicas
MARKS = {"good": "✓", "warning": "!", "bad": "✗"}


def bring_up(engine: Engine, options: UpOptions, report: Report, home: Path) -> None:
    """Start the cluster, print the addresses of its nodes and what to try."""
    topology = up(engine, options, report, home)
    rows = node_rows(topology)
    heads = ("NODE", "SHARD", "HOST", "ADDRESS")
    say(table(heads, [(row["name"], row["shard"], row["url"], row["address"]) for row in rows]))
    say()
    say("Try:")
    for line in first_words(topology):
        say(f"  {line}")


def take_down(engines: Sequence[Engine], name: str, report: Report, home: Path) -> None:
    """Stop the cluster on every engine that has it; its data stays."""
    for engine in engines:
        with report.phase(f"{name} stopped ({engine.kind})"):
            engine.stop()
    withdraw(home, name)
    report.note(
        "its data is kept: `make cluster` finds it again, `make clean` removes it"
        if engines
        else f'no cluster "{name}" here: nothing to stop'
    )


def throw_away(engines: Sequence[Engine], name: str, report: Report, home: Path) -> None:
    """Stop the cluster on every engine that has it, and remove its data."""
    for engine in engines:
        with report.phase(f"{name} removed with its data ({engine.kind})"):
            engine.clean()
    withdraw(home, name, whole=True)
    if not engines:
        report.note(f'no cluster "{name}" here: nothing to remove')


def status(engine: Engine, as_json: bool) -> None:
    """Print what every node is doing."""
    document = status_document(engine)
    if as_json:
        say(json.dumps(document, indent=1))
        return
    heads = ("NODE", "SHARD", "STATE", "READY", "CONTENT", "HOST", "ADDRESS")
    keys = ("name", "shard", "state", "ready", "content", "url", "address")
    shown = [
        {**node, "content": (node["content"] or "-")[:CONTENT_SHOWN]} for node in document["nodes"]
    ]
    rows = [tuple(_cell(node[key]) for key in keys) for node in shown]
    say(f'Cluster "{document["name"]}": {shape_now(engine, document)}, {document["engine"]}')
    say(table(heads, rows))
    for node in document["nodes"]:
        if node["failing"] and node["state"] == NodeState.RUNNING:
            say(f"{node['name']}: {node['failing']}")
    say(f"view: {document['disagreement'] or 'all that answer agree'}")
    for shard, content in document["contents"].items():
        say(f"content of {shard}: {content}")
    for node in document["nodes"]:
        if node["rot"] and node["rot"]["found"]:
            say(
                "{name}: found {found} damaged rows, repaired {repaired}".format(
                    **node, **node["rot"]
                )
            )
        if node["hints"]:
            said = ", ".join(f"{number} for {at}" for at, number in node["hints"].items())
            say(f"{node['name']}: keeps writes for other nodes: {said}")
    if document["split"]:
        say(f"split: {' | '.join(','.join(group) for group in document['split'])}")


def shape_now(engine: Engine, document: dict[str, Any]) -> str:
    """Return the shards of the view in words; without a view, the shape that `up` gave."""
    views = [node["view"] for node in document["nodes"] if node["view"]]
    sizes = [len(members) for members in views[0]["shards"].values()] if views else []
    if not sizes:
        return recalled(engine).shape
    return f"{counted(len(sizes), 'shard')} of {', '.join(map(str, sizes))} nodes"


def _cell(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def status_document(engine: Engine) -> dict[str, Any]:
    """Return the state of the cluster; a key of it that changes its meaning raises `version`."""
    topology = recalled(engine)
    states = engine.states()
    running = [node for node in topology.nodes if states[node.name] == NodeState.RUNNING]
    ports = [node.host_port for node in running]
    names = [node.name for node in running]
    failing = dict(zip(names, node_client.everyone(node_client.unready, ports), strict=True))
    told = dict(zip(names, node_client.everyone(node_client.status_of, ports), strict=True))
    views = {name: node_client.view_in(said) for name, said in told.items()}
    view = next((view for view in views.values() if view), {})
    silent = [node.host_port for node in running if told[node.name] is None]
    refused = next(filter(None, node_client.everyone(node_client.refusal_of, silent)), None)
    nodes = [
        {
            "name": node.name,
            "shard": shard_of(node.address, views.get(node.name) or view),
            "state": states[node.name],
            "ready": node.name in failing and failing[node.name] is None,
            "failing": failing.get(node.name),
            "content": content_in(told.get(node.name)),
            "rot": corruption_in(told.get(node.name)),
            "hints": hints_in(told.get(node.name), {n.address: n.name for n in topology.nodes}),
            "url": node.url,
            "address": node.address,
            "view": views.get(node.name),
        }
        for node in topology.nodes
    ]
    return {
        "version": 1,
        "name": topology.name,
        "engine": topology.engine,
        "nodes": nodes,
        "contents": contents_of(nodes),
        "disagreement": refused or (disagreement(views) if views else "no node runs"),
        "split": engine.groups(),
    }


def content_in(said: dict[str, Any] | None) -> str | None:
    """Return the hash of the node's data, equal where replicas hold the same; None: it has none."""
    content = ((said or {}).get("store") or {}).get("hash")
    return content if isinstance(content, str) else None


def corruption_in(said: dict[str, Any] | None) -> dict[str, int] | None:
    """Return how many rows the node has found damaged, and repaired, since it started.

    None if the node does not tell.
    """
    scrub = ((said or {}).get("store") or {}).get("scrub") or {}
    counts = {name: n for name in ("found", "repaired") if isinstance(n := scrub.get(name), int)}
    return counts if len(counts) == 2 else None


def hints_in(said: dict[str, Any] | None, names: dict[str, str]) -> dict[str, int]:
    """Return how many writes the node keeps for each other node, by its name."""
    kept = ((said or {}).get("hints") or {}).get("for") or {}
    return {names.get(at, at): number for at, number in kept.items() if isinstance(number, int)}


def contents_of(nodes: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return for each shard whether its replicas hold the same, as far as they tell.

    A shard of which fewer than two replicas tell has no entry.
    """
    contents: dict[str, dict[str, list[str]]] = {}
    for node in nodes:
        if node["shard"] and node["content"]:
            by_content = contents.setdefault(node["shard"], {})
            by_content.setdefault(node["content"], []).append(node["name"])
    shards = {shard: list(names.values()) for shard, names in sorted(contents.items())}
    return {
        shard: _equality(groups) for shard, groups in shards.items() if sum(map(len, groups)) > 1
    }


def _equality(groups: list[list[str]]) -> str:
    shown = " | ".join(",".join(group) for group in groups)
    return f"{'equal at' if len(groups) == 1 else 'differs:'} {shown}"


def endpoints(engine: Engine, as_json: bool) -> None:
    """Print the addresses of the nodes."""
    document = endpoints_document(recalled(engine))
    if as_json:
        say(json.dumps(document, indent=1))
        return
    for node in document["nodes"]:
        say(f"{node['name']} {node['url']} {node['address']}")


def logs(engine: Engine, node: str, tail: int, follow: bool) -> None:
    """Print a node's last lines; with `follow`, go on until interrupted."""
    for line in engine.follow(node, tail) if follow else engine.logs(node, tail):
        say(line)


def split(engine: Engine, text: str, report: Report) -> None:
    """Cut the cluster into groups."""
    groups = groups_of(text, recalled(engine))
    engine.split(groups)
    shown = " | ".join(",".join(group) for group in groups)
    report.note(f"split for {node_client.CUT_TTL_S} s: {shown}; `coterie heal` ends it")


def doctor(home: Path) -> None:
    """Print what could prevent a start; fail when something does."""
    findings = list(examine(home))
    for finding in findings:
        say(f" {MARKS[finding.verdict]} {finding.text}")
    if any(finding.verdict == "bad" for finding in findings):
        raise Trouble("a cluster cannot be started here; put the lines marked ✗ right")
