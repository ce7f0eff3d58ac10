"""Watches at a real cluster, by both kinds of client."""

from collections.abc import Iterator

import pytest

from coterie import NOTHING, BadRequest, Change, Client, Reset
from tests.client.conftest import Connect
from tests.client.faults import restarted
from tests.scenarios.conftest import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]


def until(changes: Iterator[Change], key: str) -> list[Change]:
    """Return the changes up to the next one of this key."""
    found: list[Change] = []
    while not found or found[-1].key != key:
        found.append(next(changes))
    return found


def test_each_change_of_the_keys_is_shown(kv: Client, key: str) -> None:
    with kv.watch(f"{key}/") as changes:
        kv.put(f"{key}/a", ["milk"], meta={"by": "Ann"})
        kv.put(f"{key}-other", 1)
        kv.put(f"{key}/b", b"\x00\xff")
        kv.delete(f"{key}/a")
        kv.put(f"{key}/c", "last")
        shown = until(changes, f"{key}/c")
    assert {change.key for change in shown} == {f"{key}/{name}" for name in "abc"}
    by_key = {each: [c for c in shown if c.key == f"{key}/{each}"] for each in "abc"}
    assert [change.kind for change in by_key["a"]][-1] == "delete"
    assert by_key["b"][-1].value == b"\x00\xff"
    assert by_key["c"][-1].value == "last"


def test_a_value_is_shown_with_what_it_was_put_with(kv: Client, key: str) -> None:
    with kv.watch(key=key) as changes:
        wrote = kv.put(key, ["milk"], meta={"by": "Ann"})
        change = next(changes)
        assert (change.kind, change.key, change.value) == ("change", key, ["milk"])
        assert (change.etag, change.shown[0].meta) == (wrote.etag, {"by": "Ann"})
        kv.put(key, "x" * 100_000)
        large = next(changes)
        assert (large.value, large.shown[0].size) == (None, 100_000)
        kv.put(key, ["eggs"], context=NOTHING)
        assert len(next(changes).shown) == 2


def test_a_reader_of_a_change_sees_it_at_any_node(
    cluster: Cluster, connect: Connect, kv: Client, key: str
) -> None:
    with connect(cluster.urls["alice"]) as watching, watching.watch(f"{key}/") as changes:
        for number, url in enumerate(cluster.urls.values()):
            with connect(url) as writer:
                writer.put(f"{key}/{number}", number)
            [*_, change] = until(changes, f"{key}/{number}")
            assert kv.session(change.token).get(change.key).value == number
            assert watching.get(change.key).value == number


def test_a_watch_goes_on_where_another_one_was(kv: Client, key: str) -> None:
    with kv.watch(f"{key}/") as changes:
        kv.put(f"{key}/a", 1)
        until(changes, f"{key}/a")
        last_id = changes.last_id
    kv.put(f"{key}/b", 2)
    with kv.watch(f"{key}/", last_id=last_id) as changes:
        assert until(changes, f"{key}/b")[-1].value == 2
    with pytest.raises(BadRequest, match="Last-Event-ID"):
        next(kv.watch(f"{key}/", last_id="abc"))


def test_a_watch_outlives_the_node_that_it_was_at(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    """Both nodes of the watch die, one after the other."""
    victims = ("alice", "erin")
    urls = [cluster.urls[name] for name in victims]
    with connect(urls) as kv, connect(cluster.urls["bob"]) as writer, kv.watch(key) as changes:
        for victim in victims:
            with restarted(cluster, victim):
                for number in range(10):
                    if number == 3:
                        cluster.engine.kill(victim)
                    writer.put(f"{key}/{victim}/{number}", number, w="quorum")
                shown = {change.key for change in until(changes, f"{key}/{victim}/9")}
            assert shown >= {f"{key}/{victim}/{number}" for number in range(3, 10)}


def test_what_nodes_cannot_tell_of_is_told(kv: Client, key: str) -> None:
    """A watch of one key does not know the others."""
    with kv.watch(key=key) as changes:
        kv.put(key, 1)
        next(changes)
        last_id = changes.last_id
    changes = kv.watch(last_id=last_id)
    with pytest.raises(Reset, match="read the keys again") as raised:
        next(changes)
    with kv.watch(last_id=raised.value.last_id) as changes:
        kv.put(key, 2)
        assert until(changes, key)[-1].value == 2
