"""Which engine has a cluster, or would start it.

This is the only module that knows all kinds of engine; it gives one to all others.
"""

from pathlib import Path

from cluster.deployments.published import PublishedEngine
from cluster.engines.containers import ContainerEngine, docker_client
from cluster.engines.engine import Engine, EngineChoice, NodeState
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import UNAVAILABLE, Trouble


def find(name: str, choice: EngineChoice, home: Path, module: str = "node") -> tuple[Engine, str]:
    """Return the engine that has the cluster or would start it, and the reason of the choice.

    `auto` takes the engine that runs the cluster, else the one that keeps its data, else the nodes
    that `coterie deploy` has noted, else Docker where it answers, else processes.
    """
    process = ProcessEngine(name, home, module)
    published = PublishedEngine(name, home)
    is_deployed = choice == "auto" and published.recall() is not None
    if is_deployed and not holders(name, home, module):
        return published, ""
    if choice == "process":
        return process, ""
    client, problem = docker_client()
    if client is None:
        if choice == "docker":
            raise Trouble(f"{problem}; start Docker, or take ENGINE=process", UNAVAILABLE)
        return process, f"{problem}: the nodes are local processes"
    container = ContainerEngine(name, client, home)
    if choice == "docker":
        return container, ""
    candidates: list[Engine] = [container, process]
    running = [one for one in candidates if NodeState.RUNNING in one.states().values()]
    resting = [one for one in candidates if one.recall() is not None]
    return [*running, *resting, container][0], ""


def holders(name: str, home: Path, module: str = "node") -> list[Engine]:
    """Return every engine that has processes, containers or data of the cluster."""
    client, _ = docker_client()
    engines: list[Engine] = [ProcessEngine(name, home, module)]
    if client is not None:
        engines.append(ContainerEngine(name, client, home))
    return [engine for engine in engines if engine.recall() is not None]


def expect_no_rival(engine: Engine, home: Path, module: str = "node") -> None:
    """Refuse to start a cluster whose name another engine holds."""
    rivals = [one for one in holders(engine.name, home, module) if one.kind != engine.kind]
    if rivals:
        raise Trouble(
            f'cluster "{engine.name}" is here already with ENGINE={rivals[0].kind}, or its data is;'
            " take that engine or another NAME, or throw its data away with FRESH=1 (--fresh)"
        )
