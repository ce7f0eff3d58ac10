"""When the garbage collector looks for cycles: often among what is new, which takes a millisecond;
among what has stayed, only in quiet moments.

Hardly anything that requests leave is a cycle. But a node keeps rows by the ten thousands that its
disk's tables do not have yet, and to walk through them takes a third of a second, in which nobody
is answered.
"""

import asyncio
import gc
import time

YOUNG_OBJECTS = 5_000
YOUNG_PASSES_MAX, OLD_PASSES_MAX = 1_000, 10  # then what has stayed is looked through in any case
YOUNG_PASSES_WORTH_IT = 20
LOOK_EVERY_S = 1.0
QUIET_SHARE = 0.05  # of a core's time: a process that takes less does nothing but wait


class GarbageCollection:
    """What exists at the start is never looked at; runs on the loop it is made on, to its end."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, YOUNG_PASSES_MAX, OLD_PASSES_MAX)
        self._loop = asyncio.get_running_loop()
        self._worked_s = time.process_time()
        self._loop.call_later(LOOK_EVERY_S, self._look_again)

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

    def _look_again(self) -> None:
        self.look()
        self._loop.call_later(LOOK_EVERY_S, self._look_again)
