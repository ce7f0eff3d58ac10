"""One cluster of processes for all tests of the client, and both kinds of client for each test."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from uuid import uuid4

import pytest

from cluster.engines.console import Report
from coterie import Client
from tests.client.blocking import blocking
from tests.scenarios.conftest import Cluster, process_cluster

Connect = Callable[..., AbstractContextManager[Client]]


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Cluster]:
    """Six nodes in two shards."""
    engine, topology = process_cluster(tmp_path_factory.mktemp("client"), worker_id)
    running = Cluster(engine, topology)
    try:
        engine.prepare(topology, Report(quiet=True))
        engine.launch(running.names)
        running.await_ready()
        yield running
    finally:
        engine.clean()


@pytest.fixture(params=[Client, blocking], ids=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Make a client of one kind."""
    kind: Connect = request.param
    return kind


@pytest.fixture
def kv(cluster: Cluster, connect: Connect) -> Iterator[Client]:
    """A client of all nodes, of one kind."""
    with connect(list(cluster.urls.values())) as client:
        yield client


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"client/{uuid4().hex}"
