"""A program of a user, for the type checker alone: no test runs it.

`test_wheel` checks it with `mypy --strict` where the installed package is all that is in reach.
"""

from typing import assert_type

from coterie import (
    SEEN,
    AsyncClient,
    Client,
    Conflict,
    Resolver,
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


async def tasks() -> None:
    async with AsyncClient("http://localhost:8082", timeout=5.0) as kv:
        assert_type(await kv.put("cart", b"raw"), Written)
        async with kv.update("cart", resolve=longest) as edit:
            assert_type(edit.read, Value | None)
        assert_type((await kv.get("cart")).meta["who"], str)
