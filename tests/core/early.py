"""Versions that come before their dependencies, at a node that hides them."""

from typing import Any

from msgspec.structs import replace

from node.core.model.dots import Dot
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_hash_of
from node.core.model.options import Options
from node.core.model.token import Token
from node.core.protocol import messages as m
from node.core.protocol.effects import Effects
from node.core.protocol.operations import Absent, Found, Get, Look, Looked
from tests.core.given import MemoryRows, stamp
from tests.core.one import NOW, PEAR, One

PLUM = "plum"  # of the shard of PEAR
HOLD_S = 2.0
CAUSE, EFFECT = ("x", 1), ("y", 1)  # of PEAR and of PLUM
AFTER_CAUSE = Token({}, {CAUSE: key_hash_of(PEAR, True)})


def member(hold_s: float = HOLD_S, rows: MemoryRows | None = None, **bounds: Any) -> One:
    """Make a member of the shard of PEAR and PLUM that has arrived and knows the others."""
    one = One(options=Options(hold_s=hold_s, **bounds), rows=rows)
    for node in ("a2", "b1", "b2"):
        one.step(node, m.Heartbeat(f"id of {node}"))
    one.arrive()
    return one


def version(value: bytes | None, deps: Token | None = None, at: int = 1) -> Version:
    return Version(value, deps or Token(), stamp(at), True)


def comes(
    one: One, key: str, dot: Dot, version: Version, past: Past | None = None, now: float = NOW
) -> Effects:
    """Deliver a shard peer's write."""
    item = Item({dot: version}, (past or Past()).joined({dot[0]: dot[1]}))
    return one.step("a2", m.Replicate(1, "a2", key, item, dot), now)


def early(one: One, now: float = NOW) -> Effects:
    """Deliver PLUM before PEAR, on which it depends."""
    return comes(one, PLUM, EFFECT, version(b"effect", AFTER_CAUSE), now=now)


def shown(one: One, key: str = PLUM, token: Token | None = None, now: float = NOW) -> bytes | None:
    [(_, outcome)] = one.submit(Get(key, token=token or Token()), 9, now).replies
    assert isinstance(outcome, Found | Absent)
    return outcome.values[0] if isinstance(outcome, Found) else None


def looked(one: One, now: float = NOW, **look: Any) -> Looked:
    wanted = replace(Look(limit=100), **look)
    [(_, outcome)] = one.submit(wanted, 11, now).replies
    assert isinstance(outcome, Looked)
    return outcome
