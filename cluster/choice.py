"""Which engine has a cluster, or would start it.

The only place that knows both kinds of engine; everything else is given one.
"""

from pathlib import Path

from cluster.containers import ContainerEngine, docker_client
from cluster.engine import Engine, EngineChoice, State
from cluster.processes import ProcessEngine
from cluster.topology import UNAVAILABLE, Trouble


def find(name: str, choice: EngineChoice, home: Path, module: str = "node") -> tuple[Engine, str]:
    """Return the engine that has the cluster, or would start it, and a word on how it was chosen.

    `auto` takes the engine that runs the cluster, else the one that keeps its data, else Docker
    where an engine answers, else processes.
    """
    process = ProcessEngine(name, home, module)
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
    running = [one for one in candidates if State.RUNNING in one.states().values()]
    resting = [one for one in candidates if one.recall() is not None]
    return [*running, *resting, container][0], ""


def holders(name: str, home: Path, module: str = "node") -> list[Engine]:
    """Return every engine that has something of the cluster, be it only data."""
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
