"""A program of a user, for the type checker alone: no test runs it.

`test_wheel` checks it with `mypy --strict` where the installed package is all that is in reach.
"""

from collections.abc import Iterator
from typing import assert_type

from coterie import (
    SEEN,
    AsyncClient,
    Change,
    Client,
    Conflict,
    CoterieError,
    Delete,
    Done,
    Get,
    Group,
    Incomplete,
    Operation,
    Policy,
    Put,
    Reset,
    Resolver,
    Scalar,
    Sibling,
    Unavailable,
    Value,
    Written,
)


def longest(siblings: list[Sibling]) -> str:
    return max((str(sibling.value) for sibling in siblings), key=len)


def threads() -> None:
    resolver: Resolver = longest
    with Client(["http://localhost:8082", "http://localhost:8085"], w="quorum", r=2) as kv:
        assert_type(kv.put("cart", ["milk"], ttl=60, meta={"who": "Ann"}), Written)
        assert_type(kv.get("cart", resolve=resolver, on_miss="stale"), Value)
        assert_type(kv.get_changed("cart", '"tag"'), Value | None)
        with kv.update("cart", resolve="union", default=[]) as edit:
            edit.value.append("eggs")
        session = kv.session(kv.token)
        try:
            session.delete("cart", context=SEEN)
        except Conflict as conflict:
            kv.put("cart", conflict.values[0], context=conflict.context)
        except Unavailable as error:
            assert_type(error.definite, bool)


def operations(names: list[str]) -> Iterator[Operation]:
    for name in names:
        yield Put(name, {"logins": 1}, context=SEEN)
        yield Get(name)
        yield Delete(name)


def many_keys(kv: Client) -> None:
    try:
        assert_type(list(kv.keys("users/", timeout=5.0)), list[str])
    except Incomplete as error:
        assert_type(error.unanswered, tuple[str, ...])
    for group in kv.groups(delimiter="/", counts=True, partial=True):
        assert_type(group, Group)
    for done in kv.bulk(operations(["ann", "bob"]), w="quorum", resolve="lww"):
        assert_type(done, Done)
        assert_type(done.error, CoterieError | None)
    assert_type(kv.snapshot(["ann", "bob"], resolve="union")["ann"], Value)
    assert_type(kv.set_policy(Policy("users/", merge="max", w=2, ttl=60)), list[Policy])


def watching(kv: Client) -> None:
    try:
        with kv.watch("users/", last_id="") as changes:
            for change in changes:
                assert_type(change, Change)
                assert_type(kv.get(change.key), Value)
    except Reset as error:
        kv.watch("users/", last_id=error.last_id).close()


def merged(kv: Client) -> None:
    assert_type(kv.counter("hits").add(5, w="all").acks, int)
    assert_type(kv.counter("hits").value(r="quorum", on_miss="stale"), int)
    tags = kv.set("tags")
    tags.add("red", 7, None, True)
    tags.remove("red")
    assert_type(tags.elements(), list[Scalar])


async def tasks() -> None:
    async with AsyncClient("http://localhost:8082", timeout=5.0) as kv:
        assert_type(await kv.put("cart", b"raw"), Written)
        async with kv.update("cart", resolve=longest) as edit:
            assert_type(edit.read, Value | None)
        assert_type((await kv.get("cart")).meta["who"], str)
        assert_type([key async for key in kv.keys("users/")], list[str])
        async for done in kv.bulk([Get("ann")]):
            assert_type(done.value, Value | None)
        async with kv.watch(key="ann") as changes:
            assert_type(await anext(changes), Change)
        assert_type(await kv.counter("hits").value(), int)
        assert_type((await kv.set("tags").add("red")).elements, list[Scalar])
