"""Both kinds of client have the same surface."""

import inspect
from typing import Any

import pytest

from coterie import (
    AsyncClient,
    AsyncCounter,
    AsyncItems,
    AsyncListed,
    AsyncSession,
    AsyncSet,
    AsyncWatch,
    Client,
    Counter,
    Items,
    Listed,
    Session,
    Set,
    Watch,
)

PAIRS = [
    (Session, AsyncSession),
    (Client, AsyncClient),
    (Counter, AsyncCounter),
    (Set, AsyncSet),
    (Items, AsyncItems),
    (Listed, AsyncListed),
    (Watch, AsyncWatch),
]


def surface(kind: type) -> dict[str, list[Any]]:
    """Return the public names of a class, with their parameters."""
    found = inspect.getmembers(kind, lambda each: callable(each) or isinstance(each, property))
    named = {name: each for name, each in found if not name.startswith("_")}
    return {
        name: list(inspect.signature(each).parameters.values()) if callable(each) else []
        for name, each in named.items()
    }


@pytest.mark.parametrize(("threads", "tasks"), PAIRS)
def test_both_kinds_have_the_same_surface(threads: type, tasks: type) -> None:
    assert surface(threads) == surface(tasks)
    assert surface(threads)
    for name in surface(threads):
        assert getattr(threads, name).__doc__
        assert getattr(tasks, name).__doc__


def test_a_client_has_all_calls() -> None:
    named = set(surface(Client))
    assert named >= {"get", "put", "delete", "update", "keys", "bulk", "snapshot", "watch"}
    assert named >= {"counter", "set", "policies", "explain", "session", "token"}


def test_a_parameter_that_one_kind_lacks_is_noticed() -> None:
    shorter = {name: getattr(Session, name) for name in surface(Session)}
    shorter["get"] = lambda self, key: None
    assert surface(type("Other", (), shorter)) != surface(AsyncSession)
    shorter["get"] = Session.get
    assert surface(type("Other", (), shorter)) == surface(AsyncSession)
