"""Brings a cluster up as one transaction: every node is usable, or nothing new is left.

Usable means that every node is ready and all report the same view.  If that fails, or the user
interrupts, the launcher stops whatever this run has started; older data stays.
"""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.engine import Engine, NodeState
from cluster.engines.host import busy_among
from cluster.engines.topology import (
    DEFAULT_NAME,
    DEFAULT_REPLICAS,
    DEFAULT_SHARDS,
    HOST_PORT,
    SUBNETS,
    UNAVAILABLE,
    USAGE,
    SubnetTaken,
    Topology,
    Trouble,
    disagreement,
    first_free_block,
    free_subnet,
    shard_of,
)

LOG_LINES_SHOWN = 20
AUTO = "auto"
SUBNET_TRIES_MAX = 5


@dataclass(frozen=True)
class UpOptions:
    """What the user asked for; a field of None stays as it was, or has the default."""

    shards: int | None = None
    replicas: int | None = None
    subnet: str | None = None
    port: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    wait_s: float = 30.0
    retain: bool = False


def topology_for(engine: Engine, options: UpOptions) -> Topology:
    """Return the shape to start: the present one if it fits the request, else a new one."""
    known = engine.recall()
    if known is None:
        return _new_topology(engine, options)
    unlike = [
        f"{word} {getattr(known, known_as)}, not {wanted}"
        for word, known_as, wanted in (
            ("shards", "shards", options.shards),
            ("replicas", "replicas", options.replicas),
            ("subnet", "subnet", None if options.subnet == AUTO else options.subnet),
            ("first port", "base_port", options.port),
            ("settings", "settings", options.settings or None),
        )
        if wanted is not None and getattr(known, known_as) != wanted
    ]
    if unlike:
        live = f"; `coterie view commit --shards {options.shards}` changes it while it runs"
        raise Trouble(
            f'cluster "{engine.name}" is here already, or its data is, and began with'
            f" {' and '.join(unlike)}; ask for the same, take another NAME, or throw its data away"
            f" with FRESH=1 (--fresh){live if options.shards not in (None, known.shards) else ''}"
        )
    return known


def _new_topology(engine: Engine, options: UpOptions) -> Topology:
    shards = DEFAULT_SHARDS if options.shards is None else options.shards
    replicas = DEFAULT_REPLICAS if options.replicas is None else options.replicas
    size = shards * replicas
    return Topology(
        name=engine.name,
        shards=shards,
        replicas=replicas,
        engine=engine.kind,
        subnet=_new_subnet(engine, options) if engine.kind == "docker" else "",
        base_port=_new_port(engine, size) if options.port is None else options.port,
        settings=options.settings,
    )


def _new_subnet(engine: Engine, options: UpOptions) -> str:
    default = engine.name == DEFAULT_NAME
    if options.subnet and options.subnet != AUTO:
        return options.subnet
    if default and not options.subnet:
        return SUBNETS[0]
    taken = engine.subnets_taken()
    taken |= {one.name: one.subnet for one in engine.neighbours() if one.subnet}
    return free_subnet(taken if default else {**taken, f"({DEFAULT_NAME})": SUBNETS[0]})


def _new_port(engine: Engine, size: int) -> int:
    """Return the default port for the default name; else the first block that no cluster claims."""
    if engine.name == DEFAULT_NAME:
        return HOST_PORT
    reserved = HOST_PORT + DEFAULT_SHARDS * DEFAULT_REPLICAS
    claimed = {node.host_port for one in engine.neighbours() for node in one.nodes}
    while True:
        first = first_free_block(size, claimed, reserved)
        busy = busy_among(range(first, first + size))
        if not busy:
            return first
        claimed.update(busy)


def up(engine: Engine, options: UpOptions, report: Report, home: Path) -> Topology:
    """Bring the cluster up and return its shape; roll back and raise if it is not usable.

    If another launcher took the chosen subnet first, choose another, unless the user gave it.
    """
    ours_to_choose = options.subnet == AUTO or (not options.subnet and engine.name != DEFAULT_NAME)
    for _ in range(SUBNET_TRIES_MAX - 1 if ours_to_choose else 0):
        try:
            return _up(engine, options, report, home)
        except SubnetTaken as taken:
            report.note(str(taken))
    return _up(engine, options, report, home)


def _up(engine: Engine, options: UpOptions, report: Report, home: Path) -> Topology:
    topology = topology_for(engine, options)
    is_new = engine.recall() is None
    shape = topology.shape if is_new else f"{topology.size} nodes, on the data that it has"
    before = [name for name, state in engine.states().items() if state == NodeState.RUNNING]
    kind = "Docker" if engine.kind == "docker" else "local processes"
    report.note(f'Cluster "{topology.name}": {shape}, {kind}')
    try:
        engine.prepare(topology, report)
        _start(engine, topology, report)
        _await_ready(engine, topology, options.wait_s, report)
        publish(home, topology)
    except BaseException:
        if options.retain:
            report.note("left as it is (--retain); `coterie down` removes it")
        else:
            _roll_back(engine, is_new, before, report)
            if is_new:
                withdraw(home, topology.name, whole=True)
        raise
    return topology


def _start(engine: Engine, topology: Topology, report: Report) -> None:
    states = engine.states()
    for node in topology.nodes:
        if states[node.name] == NodeState.PAUSED:
            engine.resume(node.name)
    asleep = [
        name for name, state in states.items() if state in (NodeState.STOPPED, NodeState.MISSING)
    ]
    title = f"nodes {' '.join(asleep)}" if asleep else "nodes run already"
    with report.phase(title):
        engine.launch(asleep)


def _await_ready(engine: Engine, topology: Topology, wait_s: float, report: Report) -> None:
    """Wait until all nodes are ready and of one view; name the first that is late.

    Nodes that wait for their first view only have to be ready to be told it.
    """
    ports = {node.name: node.host_port for node in topology.nodes}
    pending: dict[str, str] = {}

    def is_ready() -> bool | None:
        unready = (
            node_client.unready_but_for_a_view if topology.is_viewless else node_client.unready
        )
        problems = dict(zip(ports, node_client.everyone(unready, ports.values()), strict=True))
        pending.clear()
        pending.update({name: problem for name, problem in problems.items() if problem})
        if not pending:
            return True
        states = engine.states()
        ended = [name for name in pending if states[name] in (NodeState.STOPPED, NodeState.MISSING)]
        if ended:
            raise with_log(engine, ended[0], f"{ended[0]} ended by itself while it started")
        return None

    def is_agreed() -> bool | None:
        views = dict(
            zip(ports, node_client.everyone(node_client.view_of, ports.values()), strict=True)
        )
        told = [view for view in views.values() if view is None or view.get("number")]
        if None in views.values() and (refusal := _refusal(ports)):
            raise Trouble(refusal, USAGE)
        problem = disagreement(views) if told or not topology.is_viewless else None
        pending.clear()
        pending.update({problem.partition(" ")[0]: problem} if problem else {})
        return None if problem else True

    began = _Budget(wait_s)
    for title, condition in (("are ready", is_ready), ("have one view", is_agreed)):
        with report.phase(f"all {len(ports)} nodes {title}"):
            if not node_client.until(condition, began.left()):
                name, problem = next(iter(pending.items()))
                said = problem if problem.startswith(name) else f"{name} is not ready: {problem}"
                raise with_log(engine, name, f"{said}, {wait_s:g} s after the start")


def _refusal(ports: dict[str, int]) -> str | None:
    """Return why a node does not tell its view to this caller, if one does not."""
    refusals = zip(ports, node_client.everyone(node_client.refusal_of, ports.values()), strict=True)
    return next((f"{name} is ready, but {why}" for name, why in refusals if why), None)


class _Budget:
    """A length of time that several waits share."""

    def __init__(self, length_s: float) -> None:
        self.deadline = node_client.now() + length_s

    def left(self) -> float:
        return max(0.0, self.deadline - node_client.now())


def with_log(engine: Engine, node: str, problem: str) -> Trouble:
    """Return the trouble with the last lines of the node's log below it."""
    lines = engine.logs(node, LOG_LINES_SHOWN)
    heading = f"{problem}; expected it ready within the wait; the last lines it wrote:"
    return Trouble("\n".join([heading, *(f"  {node} | {line}" for line in lines)]), UNAVAILABLE)


def _roll_back(engine: Engine, is_new: bool, before: list[str], report: Report) -> None:
    with report.phase("rolled back"):
        if is_new:
            engine.clean()
        elif before:
            engine.halt([name for name in engine.states() if name not in before])
        else:
            engine.stop()


def node_rows(topology: Topology) -> list[dict[str, Any]]:
    """Return name, shard, url and address of every node; the shard is the one that nodes report."""
    views = node_client.everyone(node_client.view_of, [node.host_port for node in topology.nodes])
    view = next((view for view in views if view), {})
    return [
        {
            "name": node.name,
            "shard": shard_of(node.address, view),
            "url": node.url,
            "address": node.address,
        }
        for node in topology.nodes
    ]


def endpoints_document(topology: Topology) -> dict[str, Any]:
    """Return what programs need to find the cluster."""
    return {
        "version": 1,
        "name": topology.name,
        "engine": topology.engine,
        "shards": topology.shards,
        "replicas": topology.replicas,
        "subnet": topology.subnet,
        "nodes": node_rows(topology),
    }


def publish(home: Path, topology: Topology) -> None:
    """Write `cluster.json` and `env`, by which scripts find the nodes."""
    place = home / topology.name
    place.mkdir(parents=True, exist_ok=True)
    (place / "cluster.json").write_text(json.dumps(endpoints_document(topology), indent=1) + "\n")
    urls = ",".join(node.url for node in topology.nodes)
    (place / "env").write_text(f"export COTERIE_URLS={urls}\n")


def withdraw(home: Path, name: str, whole: bool = False) -> None:
    """Remove what `publish` wrote; with `whole`, everything that is kept under the name."""
    place = home / name
    if whole:
        shutil.rmtree(place, ignore_errors=True)
        return
    for file in ("cluster.json", "env"):
        (place / file).unlink(missing_ok=True)
