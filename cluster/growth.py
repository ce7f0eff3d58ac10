"""One more node for a cluster that runs: it asks the others to let it in, and owns nothing yet.

Its slots come with the next view change (`coterie view commit`).  A node that does not get in stays
as it is, for its log to be read; `coterie start` tries again.
"""

from pathlib import Path

from cluster import probe
from cluster.engine import Engine, State, recalled
from cluster.launch import publish, with_log
from cluster.report import Report
from cluster.topology import NOT_FOUND, Node, Trouble


def add_node(engine: Engine, wait_s: float, report: Report, home: Path) -> Node:
    """Start a new node and wait until all that run have it in their view."""
    if State.RUNNING not in engine.states().values():
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
        if not probe.until(lambda: condition(engine, node) or None, wait_s):
            raise with_log(engine, node.name, f"{node.name} does not get in, {wait_s:g} s later")
    publish(home, topology)
    return node


def _answers(engine: Engine, node: Node) -> bool:
    return probe.ask("GET", node.host_port, "/livez")[0] == 200


def _is_in(engine: Engine, node: Node) -> bool:
    """Whether every node that runs has it in its view."""
    topology = recalled(engine)
    states = engine.states()
    ports = [n.host_port for n in topology.nodes if states[n.name] == State.RUNNING]
    views = probe.everyone(probe.view_of, ports)
    return all(view and node.address in view.get("nodes", ()) for view in views)
