"""What the tests of the client do to the cluster, and the keys that it happens to."""

from collections.abc import Iterator
from contextlib import contextmanager

from coterie import Client
from tests.scenarios.conftest import Cluster


def owned(cluster: Cluster, kv: Client, key: str) -> str:
    """Return a key of the first shard, with the value "before" at all its replicas."""
    members = {cluster.address(name) for name in cluster.names[: cluster.topology.replicas]}
    for number in range(100):
        if kv.put(f"{key}/{number}", "before", w="all").served_by in members:
            return f"{key}/{number}"
    raise AssertionError("no key of the first shard")


@contextmanager
def cut_off(cluster: Cluster, name: str) -> Iterator[None]:
    cluster.engine.split([[name], [other for other in cluster.names if other != name]])
    try:
        yield
    finally:
        cluster.engine.heal()


@contextmanager
def restarted(cluster: Cluster, name: str) -> Iterator[None]:
    """Start a node again that the block has killed."""
    try:
        yield
    finally:
        cluster.engine.start(name)
        cluster.await_ready()
