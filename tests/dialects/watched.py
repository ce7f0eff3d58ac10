"""Writes, causes and clocks, as tests of watches name them."""

from typing import Any

from node.api.contract import Limits
from node.api.native.watch_position import Clocks
from node.core.model.dots import DotClock
from node.core.model.item import Past, Version
from node.core.model.slots import ALL
from node.core.protocol.watching import Cause

LIMITS = Limits(value_bytes_max=200, wait_s_max=1.0)
A, B = "aaaaaa.1", "bbbbbb.1"
EVERYTHING = Clocks([(ALL, DotClock({A: 9, B: 9}))])


def version(at: int, value: bytes | None = b"1", **more: Any) -> Version:
    return Version(value, timestamp=(at, 0, A), **more)


def after(actor: str, n: int, *, is_floor: bool = False) -> Cause:
    return Cause(actor, n, ALL, is_floor)


def plain(past: Past) -> Past:
    return past
