"""Lists, bulks, snapshots and policies, at a real cluster, by both kinds of client."""

from collections.abc import Iterator

import pytest

from coterie import (
    NOTHING,
    SEEN,
    Absent,
    BadRequest,
    Client,
    Conflict,
    ContextWanted,
    Delete,
    Done,
    Get,
    Group,
    Incomplete,
    Operation,
    Patience,
    Policy,
    Put,
    Unavailable,
)
from tests.client.bad_nodes import forgetful, mute
from tests.client.conftest import Connect
from tests.scenarios.conftest import Cluster
from tests.scenarios.script import eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

KNOWN_S = 10.0
AWAY_S = 15.0


def put_all(kv: Client, keys: list[str]) -> None:
    assert [done.error for done in kv.bulk(Put(key, key) for key in keys)] == [None] * len(keys)


# ------------------------------------------------------------------ lists
def test_all_keys_are_listed_page_by_page(kv: Client, key: str) -> None:
    keys = sorted(f"{key}/{number}" for number in range(25))
    put_all(kv, keys)
    assert list(kv.keys(f"{key}/")) == keys
    assert list(kv.keys(f"{key}/", page_keys=4)) == keys
    assert list(kv.keys(f"{key}/", after=keys[20], page_keys=1)) == keys[21:]
    assert list(kv.keys(f"{key}/none")) == []
    assert kv.keys(f"{key}/").unanswered == []


def test_a_list_is_of_what_the_session_has_seen(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    with connect(cluster.urls["alice"]) as kv:
        for number, url in enumerate(cluster.urls.values()):
            kv.put(f"{key}/{number}", 1)
            with connect(url, token=kv.token) as other:
                assert len(list(other.keys(f"{key}/"))) == number + 1


def test_keys_are_grouped_and_counted(kv: Client, key: str) -> None:
    put_all(kv, [f"{key}/{name}" for name in ("a/1", "a/2", "b", "c/1/2", "c/1/3")])
    names = [(group.name, group.is_key) for group in kv.groups(f"{key}/")]
    assert names == [(f"{key}/a/", False), (f"{key}/b", True), (f"{key}/c/", False)]
    counted = list(kv.groups(f"{key}/", counts=True, page_keys=1))
    assert counted == [
        Group(f"{key}/a/", 2, is_key=False),
        Group(f"{key}/b", 1, is_key=True),
        Group(f"{key}/c/", 2, is_key=False),
    ]
    assert [group.name for group in kv.groups(key, delimiter="/c/")][-1] == f"{key}/c/"


def test_a_list_that_a_program_leaves_holds_no_connection(kv: Client, key: str) -> None:
    put_all(kv, [f"{key}/{number}" for number in range(3)])
    for _ in range(40):
        listed = kv.keys(f"{key}/", page_keys=1)
        next(listed)
        listed.close()
    assert list(kv.keys(f"{key}/", page_keys=2)) == [f"{key}/{number}" for number in range(3)]


def test_arguments_of_a_list_are_judged(kv: Client) -> None:
    with pytest.raises(ValueError, match="page_keys is 0; expected"):
        kv.keys(page_keys=0)
    with pytest.raises(ValueError, match="timeout is"):
        kv.keys(timeout=0)
    with pytest.raises(BadRequest, match="prefix"):
        list(kv.keys("k" * 1025))


# ------------------------------------------------------------------ bulks
def operations_on(key: str) -> Iterator[Operation]:
    yield Put(f"{key}/json", {"of": "Änn"})
    yield Put(f"{key}/text", "milk")
    yield Put(f"{key}/bytes", b"\x00\xff")
    for name in ("json", "text", "bytes", "none"):
        yield Get(f"{key}/{name}")
    yield Delete(f"{key}/text")
    yield Get(f"{key}/text")
    yield Delete(f"{key}/none")


def test_a_bulk_gives_what_came_of_each_operation(kv: Client, key: str) -> None:
    done = list(kv.bulk(operations_on(key), w="quorum"))
    assert [each.operation for each in done] == list(operations_on(key))
    assert [each.written.created for each in done[:3] if each.written] == [True] * 3
    assert all(each.written.acks >= 2 for each in done if each.written)
    values = [each.value.value for each in done if each.value]
    assert values == [{"of": "Änn"}, "milk", b"\x00\xff"]
    assert [type(each.error) for each in done[6:]] == [Absent, type(None), Absent, Absent]
    assert kv.get(f"{key}/bytes").value == b"\x00\xff"
    other = kv.session(kv.token)
    with pytest.raises(Absent):
        other.get(f"{key}/text")


def test_a_bulk_keeps_the_order_of_the_operations_of_a_key(kv: Client, key: str) -> None:
    def turns() -> Iterator[Operation]:
        for number in range(12):
            yield Put(key, number, context=SEEN)
            yield Get(key)

    shown = [done.value.value for done in kv.bulk(turns()) if done.value]
    assert shown == list(range(12))


def test_a_bulk_shows_siblings_as_single_calls_do(kv: Client, key: str) -> None:
    beside: list[Operation] = [Put(key, ["milk"], NOTHING), Put(key, ["eggs"], NOTHING)]
    [*_, shown] = kv.bulk([*beside, Get(key)])
    assert isinstance(shown.error, Conflict)
    assert sorted(shown.error.values) == [["eggs"], ["milk"]]
    [merged] = kv.bulk([Get(key)], resolve="union")
    assert merged.value is not None
    assert (sorted(merged.value.value), merged.value.siblings) == (["eggs", "milk"], 2)
    [replaced] = kv.bulk([Put(key, ["tea"], merged.value.context)])
    assert replaced.written is not None
    assert kv.get(key).value == ["tea"]


def test_a_bulk_takes_operations_as_it_goes_on(kv: Client, key: str) -> None:
    taken: list[int] = []

    def many() -> Iterator[Operation]:
        for number in range(1000):
            taken.append(number)
            yield Put(f"{key}/{number % 400}", number)

    done = kv.bulk(many())
    assert next(done).error is None
    assert len(taken) < 300
    assert [each.error for each in done] == [None] * 999
    assert kv.get(f"{key}/399").value == 799


def test_a_bulk_is_sent_again_and_its_writes_are_done_once(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    operations = [Put(f"{key}/{number}", number, NOTHING) for number in range(20)]
    with forgetful(cluster.urls["alice"]) as lossy, mute() as hung:
        for _ in range(2):
            nodes = [lossy, hung, cluster.urls["erin"]]
            with connect(nodes, patience=Patience(attempt_s=0.5)) as kv:
                assert [each.error for each in kv.bulk(operations)] == [None] * 20
    with connect(cluster.urls["bob"]) as kv:
        for done in kv.bulk([Get(f"{key}/{number}") for number in range(20)], r="all"):
            assert isinstance(done.error, Conflict)
            assert len(done.error.values) == 2


def test_a_bulk_that_no_node_takes(kv: Client, connect: Connect, key: str) -> None:
    with pytest.raises(BadRequest, match="w is '0'"):
        list(kv.bulk([Put(key, 1)], w=0))
    [empty, there] = kv.bulk([Put("", 1), Put(key, 1)])
    assert (type(empty.error), there.error) == (BadRequest, None)
    with pytest.raises((TypeError, ValueError)):
        list(kv.bulk([Put(key, {1})]))
    assert list(kv.bulk([])) == []
    with mute() as hung, connect([hung]) as other, pytest.raises(Unavailable) as raised:
        list(other.bulk([Put(key, 1)], timeout=0.2))
    assert not raised.value.definite


# ------------------------------------------------------------------ snapshots
def test_a_snapshot_has_each_key_once_more(kv: Client, key: str) -> None:
    photo, album, two = f"{key}/photo", f"{key}/album", f"{key}/two"
    kv.put(photo, b"\x89PNG", meta={"by": "Ann"})
    kv.put(album, ["photo"])
    for value in (["milk"], ["eggs"]):
        kv.put(two, value, context=NOTHING)
    shot = kv.snapshot([album, photo, two, f"{key}/none"])
    assert (shot[album].value, shot[photo].value) == (["photo"], b"\x89PNG")
    assert shot[photo].meta == {"by": "Ann"}
    assert sorted(shot.values) == [album, photo]
    with pytest.raises(Conflict):
        shot[two]
    with pytest.raises(Absent):
        shot[f"{key}/none"]
    assert sorted(kv.snapshot([two], resolve="union")[two].value) == ["eggs", "milk"]
    assert kv.put(two, ["tea"], context=SEEN).siblings == 1
    with pytest.raises(BadRequest, match="more than once"):
        kv.snapshot([album, album])
    with pytest.raises(KeyError):
        shot["other"]


# ------------------------------------------------------------------ policies
def test_policies_are_set_shown_and_removed(kv: Client, key: str) -> None:
    policy = Policy(key, merge="union", blind="refuse", w="quorum", r=2, ttl=3600.0)
    assert policy in kv.set_policy(policy)
    assert eventually(lambda: policy in kv.policies(), KNOWN_S)
    assert eventually(lambda: refuses(kv, key), KNOWN_S)
    with pytest.raises(BadRequest, match="w is 9"):
        kv.set_policy(Policy(key, w=9))
    assert policy not in kv.remove_policy(key)
    assert policy not in kv.remove_policy(key)


def refuses(kv: Client, key: str) -> bool:
    """Whether the node whose turn it is knows the policy."""
    try:
        kv.put(f"{key}/blind", 1)
    except ContextWanted:
        return True
    return False


# ------------------------------------------------------------------ a shard that is away
def test_a_shard_that_is_away(cluster: Cluster, connect: Connect, key: str) -> None:
    """A list says so, or leaves it out if the program wants that; a bulk does what it can."""
    here, away = cluster.names[:3], cluster.names[3:]
    keys = sorted(f"{key}/{number}" for number in range(12))
    with connect([cluster.urls[name] for name in here], patience=Patience(attempt_s=2.0)) as kv:
        for each in keys:
            kv.put(each, each, w="all")
        cluster.engine.split([here, away])
        try:
            assert eventually(lambda: lacks(kv, key), AWAY_S)
            with pytest.raises(Incomplete) as raised:
                list(kv.keys(f"{key}/", timeout=2.0))
            assert raised.value.unanswered == (cluster.shard_of(away[0]),)
            listed = kv.keys(f"{key}/", partial=True)
            there = list(listed)
            assert set(there) < set(keys)
            assert listed.unanswered == [cluster.shard_of(away[0])]
            read = list(kv.bulk([Get(each) for each in keys], timeout=3.0))
            assert [each.operation.key for each in read] == keys
            assert [each.operation.key for each in read if each.value] == there
            errors = [each.error for each in read if each.error]
            assert {type(error) for error in errors} == {Unavailable}
        finally:
            cluster.engine.heal()
    with connect(list(cluster.urls.values())) as kv:
        assert eventually(lambda: not lacks(kv, key), AWAY_S)
        assert [done_value(each) for each in kv.bulk([Get(each) for each in keys])] == keys


def lacks(kv: Client, key: str) -> bool:
    """Whether a list of the keys lacks those of a shard."""
    listed = kv.keys(f"{key}/", partial=True, timeout=2.0)
    list(listed)
    return bool(listed.unanswered)


def done_value(done: Done) -> object:
    assert done.value is not None, done.error
    return done.value.value
