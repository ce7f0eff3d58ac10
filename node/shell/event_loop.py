"""The event loop and the clock port.

A node's time is the wall clock at its start plus the time that has passed since.  So it never goes
back, and a change of the machine's clock does not move it.
"""

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

TIMER_S_MAX = 86_400.0  # check a later time again after a day

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result], fast: bool) -> Result:
    """Run to the end, on uvloop if `fast`, else on asyncio's own loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else None) as runner:
        return runner.run(main)


class LoopTimer:
    """Seconds since the epoch that never go back, and timers on the running loop."""

    def __init__(self, wall_now: Callable[[], float] = time.time) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset_s = wall_now() - self._loop.time()

    def now(self) -> float:
        return self._offset_s + self._loop.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back at `when`, or as soon as possible if that is past; never within this call.

        A time more than a day away calls back after a day; infinity never does.
        """
        if when < math.inf:
            loop_when = when - self._offset_s
            self._loop.call_at(min(loop_when, self._loop.time() + TIMER_S_MAX), callback)
