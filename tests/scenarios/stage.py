"""Clusters of any shape for the scenarios of view changes, on either engine.

Without a Docker engine the tests are skipped with a loud reason.  The ports are not those of the
other scenarios, so that both may run at the same time.  The clusters are gone at the end.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cluster.engines.console import Report
from cluster.engines.containers import ContainerEngine, docker_client
from cluster.engines.engine import Engine, recalled
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology, free_subnet
from tests.scenarios.conftest import Cluster, free_port_block
from tests.scenarios.script import Answer, ask

PORTS = {"process": 21100, "docker": 22000}
ASK_AT_ONCE = 8
QUIET = Report(quiet=True)

Item = TypeVar("Item")
Result = TypeVar("Result")

ON_PROCESSES = pytest.mark.xdist_group("processes")


def engines(docker_group: str) -> list[Any]:
    """Return a parameter for each kind of engine; tests of one group never run at the same time."""
    return [
        pytest.param("process", marks=ON_PROCESSES),
        pytest.param("docker", marks=pytest.mark.xdist_group(docker_group)),
    ]


ENGINES = engines("docker")
BOTH_ENGINES = pytest.mark.parametrize("kind", ENGINES)


@contextmanager
def machines(
    kind: str,
    folder: Path,
    shards: int,
    replicas: int,
    spare: int = 0,
    ports: int = 0,
    **settings: str,
) -> Iterator[Cluster]:
    """Launch a cluster, without waiting until it is ready; `spare` ports stay free for more."""
    first = free_port_block(shards * replicas + spare, ports or PORTS[kind])
    engine, subnet = _engine(kind, folder)
    engine_kind = engine.kind
    topology = Topology(engine.name, shards, replicas, engine_kind, subnet, first, settings)
    try:
        engine.prepare(topology, QUIET)
        engine.launch([node.name for node in topology.nodes])
        yield Cluster(engine, topology)
    finally:
        engine.clean()


def _engine(kind: str, folder: Path) -> tuple[Engine, str]:
    if kind == "process":
        return ProcessEngine("views", folder), ""
    engine = ContainerEngine(f"views-{os.getpid()}", docker_or_skip(), folder)
    return engine, free_subnet(engine.subnets_taken())


def docker_or_skip() -> Any:
    """Return a client of the Docker engine; skip the test, loudly, where none answers."""
    client, problem = docker_client()
    if client is None:
        pytest.skip(f"NO DOCKER ENGINE: the scenarios run on processes only ({problem})")
    return client


def with_one_more(cluster: Cluster) -> Cluster:
    """Add a node to the cluster; it asks to be let in."""
    larger = recalled(cluster.engine).larger()
    cluster.engine.prepare(larger, QUIET)
    cluster.engine.launch([larger.nodes[-1].name])
    return Cluster(cluster.engine, larger)


def at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do it for all of them, a few at a time; raise what the first one raises."""
    with ThreadPoolExecutor(ASK_AT_ONCE) as pool:
        return list(pool.map(work, items))


def job(url: str) -> Answer:
    """Return how far the view change is, as this node tells it."""
    return ask("GET", f"{url}/v1/view/job")


def is_done(urls: Iterable[str]) -> bool:
    """Whether the change is over, as all these nodes tell it."""
    return all(job(url)[1].get("phase") == "done" for url in urls)


def account(cluster: Cluster) -> str:
    """Return what all nodes say of the change, for a failed test: jobs, and the ends of logs."""
    lines = []
    for name, url in cluster.urls.items():
        lines += [f"{name}: {job(url)[:2]}", *cluster.engine.logs(name, 12)]
    return "\n".join(lines)
