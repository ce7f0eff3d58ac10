"""Each kind of call about a key, at a real cluster, by both kinds of client."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from coterie import (
    NOTHING,
    SEEN,
    Absent,
    BadRequest,
    Client,
    Conflict,
    ContextWanted,
    KeyReused,
    PreconditionFailed,
    TooLarge,
    TooManySiblings,
)
from tests.client.conftest import Connect
from tests.scenarios.conftest import Cluster
from tests.scenarios.script import eventually

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

HOUR_S = 3600.0
EXPIRED_S = 10.0
KEYS = (".", "..", "a/b", "a//b", "/", "./", "x/../y", "%2F", " ", "ä ö?#%&+;=", "k" * 1024)


@contextmanager
def policy(cluster: Cluster, prefix: str, fields: object) -> Iterator[None]:
    """Set a policy for the block."""
    url = f"{next(iter(cluster.urls.values()))}/v1/policies/{prefix}"
    body = json.dumps(fields).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"), timeout=20):
        pass
    try:
        yield
    finally:
        with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=20):
            pass


@pytest.mark.parametrize("value", [["milk", {"of": "oats"}], None, 1.5, "käse", b"\x00\xff", ""])
def test_a_value_comes_back_as_it_was_put(kv: Client, key: str, value: object) -> None:
    wrote = kv.put(key, value, meta={"Who": "Änn"}, w="quorum")
    assert (wrote.created, wrote.siblings, wrote.copies) == (True, 1, 3)
    assert wrote.acks >= 2
    read = kv.get(key)
    assert (read.value, read.meta, read.etag) == (value, {"who": "Änn"}, wrote.etag)
    assert (read.siblings, read.missing, read.expires, read.copies) == (1, (), None, 3)
    head = kv.head(key)
    assert (head.content_type, head.etag, head.meta) == (read.content_type, read.etag, read.meta)
    assert not kv.put(key, value).created


@pytest.mark.parametrize("name", KEYS)
def test_any_text_is_a_key(kv: Client, name: str) -> None:
    kv.put(name, name)
    assert kv.get(name).value == name
    kv.delete(name)


def test_a_key_without_a_value_is_absent(kv: Client, key: str) -> None:
    calls: tuple[Callable[[str], object], ...] = (kv.get, kv.head, kv.delete)
    for call in calls:
        with pytest.raises(Absent) as raised:
            call(key)
        assert raised.value.definite
    kv.put(key, 1)
    kv.delete(key)
    with pytest.raises(Absent) as raised:
        kv.get(key)
    assert raised.value.problem is not None
    assert raised.value.problem.kind == "absent"
    kv.put(key, 2, context=raised.value.context)
    assert kv.get(key).value == 2


def test_siblings_are_shown_and_resolved(kv: Client, key: str) -> None:
    kv.put(key, ["milk"], context=NOTHING)
    beside = kv.put(key, ["eggs"], context=NOTHING, meta={"who": "Ann"})
    assert (beside.siblings, beside.etag) == (2, "")
    assert kv.head(key).is_conflict
    with pytest.raises(Conflict) as raised:
        kv.get(key)
    conflict = raised.value
    assert sorted(conflict.values) == [["eggs"], ["milk"]]
    [eggs] = [each for each in conflict.siblings if each.value == ["eggs"]]
    assert eggs.meta == {"who": "Ann"}
    assert kv.get(key, sibling=eggs.id).value == ["eggs"]
    both = kv.get(key, resolve="union")
    assert (sorted(both.value), both.siblings) == (["eggs", "milk"], 2)
    assert kv.get(key, resolve="lww").value == ["eggs"]
    assert kv.get(key, resolve=lambda siblings: len(siblings)).value == 2
    assert kv.put(key, ["cheese"], context=conflict.context).siblings == 1
    assert kv.get(key).value == ["cheese"]


def test_one_sibling_is_replaced_alone(kv: Client, key: str) -> None:
    for value in ("a", "b"):
        kv.put(key, value, context=NOTHING)
    with pytest.raises(Conflict) as raised:
        kv.get(key)
    [a] = [each for each in raised.value.siblings if each.value == "a"]
    kv.put(key, "c", context=kv.get(key, sibling=a.id).context)
    assert sorted(kv.get(key, resolve=lambda siblings: [s.value for s in siblings]).value) == [
        "b",
        "c",
    ]


def test_two_editors_of_one_version_make_siblings(kv: Client, key: str) -> None:
    kv.put(key, "first")
    other = kv.session(kv.token)
    assert [session.get(key).value for session in (kv, other)] == ["first", "first"]
    kv.put(key, "mine", context=SEEN)
    assert other.put(key, "theirs", context=SEEN).siblings == 2
    assert kv.get(key, resolve="lww").siblings == 2
    assert kv.put(key, "ours", context=kv.context_of(key)).siblings == 1


def test_conditions(kv: Client, key: str) -> None:
    first = kv.put(key, 1, if_none_match="*")
    with pytest.raises(PreconditionFailed) as raised:
        kv.put(key, 2, if_none_match="*")
    assert raised.value.definite
    assert raised.value.etag == first.etag
    second = kv.put(key, 2, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        kv.put(key, 3, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        kv.delete(key, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        kv.get(key, if_match=first.etag)
    assert kv.get_changed(key, second.etag) is None
    changed = kv.get_changed(key, first.etag)
    assert changed is not None
    assert changed.value == 2


def test_values_expire(kv: Client, key: str) -> None:
    wrote = kv.put(key, 1, ttl=HOUR_S, w="all")
    assert wrote.expires is not None
    assert kv.get(key).expires == wrote.expires
    later = kv.set_ttl(key, 2 * HOUR_S, w="all")
    assert later.expires is not None
    assert HOUR_S / 2 < later.expires - wrote.expires < 2 * HOUR_S
    assert (kv.get(key).value, kv.get(key).expires) == (1, later.expires)
    kv.set_ttl(key, 0.05, w="all")

    def is_gone() -> bool:
        try:
            kv.get(key)
        except Absent:
            return True
        return False

    assert eventually(is_gone, EXPIRED_S)
    with pytest.raises(Absent):
        kv.set_ttl(key, HOUR_S)


def test_siblings_have_no_ttl_in_common(kv: Client, key: str) -> None:
    for value in ("a", "b"):
        kv.put(key, value, context=NOTHING)
    with pytest.raises(TooManySiblings):
        kv.set_ttl(key, HOUR_S)


def test_an_update_reads_changes_and_writes(kv: Client, key: str) -> None:
    with kv.update(key, default=[], w="quorum") as edit:
        edit.value.append("milk")
    assert edit.written is not None
    assert edit.written.created
    with suppress(ZeroDivisionError), kv.update(key) as edit:
        edit.value.append("eggs")
        edit.value.append(1 / 0)
    assert kv.get(key).value == ["milk"]


def test_updates_that_meet_are_merged(kv: Client, key: str) -> None:
    kv.put(key, ["milk"])
    other = kv.session(kv.token)
    with kv.update(key, resolve="union") as mine:
        with other.update(key, resolve="union") as theirs:
            theirs.value.append("eggs")
        mine.value.append("cheese")
    assert mine.written is not None
    assert mine.written.siblings == 1
    assert sorted(kv.get(key).value) == ["cheese", "eggs", "milk"]


def test_requests_that_no_node_takes(kv: Client, key: str) -> None:
    with pytest.raises(BadRequest, match="w: it is '9'"):
        kv.put(key, 1, w=9)
    with pytest.raises(BadRequest, match="the key is empty"):
        kv.put("", 1)
    with pytest.raises(BadRequest, match="Kv-Context is malformed"):
        kv.put(key, 1, context="x")
    with pytest.raises(TooLarge):
        kv.put(key, b"x" * 1_100_000)
    with pytest.raises(TooLarge):
        kv.put(key, 1, meta={"a": "x" * 9000})
    with pytest.raises(Absent):
        kv.get(key)


def test_a_name_of_the_program_is_that_of_one_write(kv: Client, key: str) -> None:
    for _ in range(3):
        kv.put(key, "once", context=NOTHING, idempotency_key="mine")
    assert kv.get(key, r="all").value == "once"
    with pytest.raises(KeyReused):
        kv.put(key, "twice", context=NOTHING, idempotency_key="mine")


def test_policies_that_want_a_context_or_merge(kv: Client, cluster: Cluster, key: str) -> None:
    with policy(cluster, key, {"merge": "union", "blind": "refuse"}):
        assert eventually(lambda: refuses(kv, key), EXPIRED_S)
        for value in ("milk", "eggs"):
            kv.put(key, [value], context=NOTHING)
        read = kv.get(key)
        assert (sorted(read.value), read.siblings) == (["eggs", "milk"], 2)
        with kv.update(key, resolve="union") as edit:
            edit.value.append("cheese")
        assert kv.get(key).siblings == 1


def refuses(kv: Client, key: str) -> bool:
    """Whether the node whose turn it is knows the policy."""
    try:
        kv.put(f"{key}/other", 1)
    except ContextWanted:
        return True
    return False


def test_a_session_sees_its_writes_at_any_node(
    cluster: Cluster, connect: Connect, key: str
) -> None:
    token = ""
    for number, url in enumerate([*cluster.urls.values()] * 3):
        with connect([url], token=token) as kv:
            if number:
                assert kv.get(key).value == number - 1
            kv.put(key, number)
            token = kv.token
    with connect(cluster.urls["alice"]) as kv:
        assert kv.session(token).get(key).value == number
        assert kv.token == ""
