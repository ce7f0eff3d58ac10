"""Adds a node to a running cluster: it asks the others to let it in, and owns no slots yet.

Its slots come with the next view change (`coterie view commit`).  A node that does not get in
stays, so that the user can read its log; `coterie start` tries again.
"""

from pathlib import Path

from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.engine import Engine, NodeState, recalled
from cluster.engines.launch import publish, with_log
from cluster.engines.topology import NOT_FOUND, TopologyNode, Trouble


def add_node(engine: Engine, wait_s: float, report: Report, home: Path) -> TopologyNode:
    """Start a new node and wait until all running nodes have it in their view."""
    if NodeState.RUNNING not in engine.states().values():
        raise Trouble(f'no node of cluster "{engine.name}" runs; start it first', NOT_FOUND)
    topology = recalled(engine).larger()
    node = topology.nodes[-1]
    engine.prepare(topology, report)
    with report.phase(f"node {node.name}"):
        engine.launch([node.name])
    what, condition = "is in the view of all", _is_in
    if topology.is_viewless:
        what, condition = "answers", _answers
    with report.phase(f"{node.name} {what}"):
        if not node_client.until(lambda: condition(engine, node) or None, wait_s):
            raise with_log(engine, node.name, f"{node.name} does not get in, {wait_s:g} s later")
    publish(home, topology)
    return node


def _answers(engine: Engine, node: TopologyNode) -> bool:
    return node_client.ask("GET", node.host_port, "/livez")[0] == 200


def _is_in(engine: Engine, node: TopologyNode) -> bool:
    """Whether every running node has it in its view."""
    topology = recalled(engine)
    states = engine.states()
    ports = [n.host_port for n in topology.nodes if states[n.name] == NodeState.RUNNING]
    views = node_client.everyone(node_client.view_of, ports)
    return all(view and node.address in view.get("nodes", ()) for view in views)
