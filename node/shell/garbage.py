"""When the garbage collector looks for cycles: often among what is new, which takes a millisecond;
among what has stayed, only in quiet moments.

Hardly anything that requests leave is a cycle. But a node keeps rows by the ten thousands that its
disk's tables do not have yet, and to walk through them takes a third of a second, in which nobody
is answered.  The interpreter counts what is new less what has gone, however old that was: while old
rows go, the new ones can be many before it looks.  So the time counts, too.
"""

import asyncio
import gc
import time
from collections.abc import Callable

YOUNG_OBJECTS = 5_000
YOUNG_PASSES_MAX, OLD_PASSES_MAX = 10_000, 10  # then what has stayed is looked through in any case
YOUNG_PASSES_WORTH_IT = 20
LOOK_AT_NEW_EVERY_S = 0.1
LOOK_EVERY_S = 1.0
QUIET_SHARE = 0.05  # of a core's time: a process that takes less does nothing but wait


class GarbageCollection:
    """What exists at the start is never looked at; runs on the loop it is made on, to its end."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, YOUNG_PASSES_MAX, OLD_PASSES_MAX)
        self._loop = asyncio.get_running_loop()
        self._worked_s = self._made_new_s = time.process_time()
        self._repeat(LOOK_AT_NEW_EVERY_S, self.look_at_new)
        self._repeat(LOOK_EVERY_S, self.look)

    def look_at_new(self) -> None:
        """Collect among what is new, unless hardly anything can be."""
        before_s, self._made_new_s = self._made_new_s, time.process_time()
        if self._made_new_s - before_s > QUIET_SHARE * LOOK_AT_NEW_EVERY_S:
            gc.collect(0)

    def look(self) -> None:
        """Collect what has gathered, if nothing has been done since the last look."""
        before_s, self._worked_s = self._worked_s, time.process_time()
        if self._worked_s - before_s > QUIET_SHARE * LOOK_EVERY_S:
            return
        _, young_passes, old_passes = gc.get_count()
        if old_passes >= OLD_PASSES_MAX:
            gc.collect()
        elif young_passes >= YOUNG_PASSES_WORTH_IT:
            gc.collect(1)

    def _repeat(self, every_s: float, look: Callable[[], None]) -> None:
        def again() -> None:
            look()
            self._loop.call_later(every_s, again)

        self._loop.call_later(every_s, again)
