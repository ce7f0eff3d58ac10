"""What the tests of the client do to the cluster, and the keys that it happens to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from coterie import Client
from tests.scenarios.conftest import Cluster


class Served(Protocol):
    """What a write did, and which node named it."""

    @property
    def served_by(self) -> str: ...


def owned(cluster: Cluster, kv: Client, key: str) -> str:
    """Return a key of the first shard, with the value "before" at all its replicas."""
    return owned_by(cluster, key, lambda each: kv.put(each, "before", w="all"))


def owned_by(cluster: Cluster, key: str, write: Callable[[str], Served]) -> str:
    """Write keys until one is of the first shard, and return that."""
    members = {cluster.address(name) for name in cluster.names[: cluster.topology.replicas]}
    names = (f"{key}/{number}" for number in range(100))
    return next(name for name in names if write(name).served_by in members)


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
