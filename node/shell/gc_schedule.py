"""When the garbage collector looks for cycles: often in new objects, rarely in old ones.

A pass over new objects takes a millisecond.  A pass over old ones takes a third of a second, since
a node holds tens of thousands of rows that its disk's tables do not have yet, and the node answers
no client meanwhile.  So it runs only in quiet moments; requests leave hardly any cycles.  The
interpreter counts the new objects less those that went, however old these were.  So there can be
many new ones before it looks, while old rows go; a timer looks as well.
"""

import asyncio
import gc
import time
from collections.abc import Callable

YOUNG_OBJECTS = 5_000
YOUNG_PASSES_MAX, OLD_PASSES_MAX = 10_000, 10  # then look at old objects in any case
YOUNG_PASSES_WORTH_IT = 20
LOOK_AT_NEW_EVERY_S = 0.1
LOOK_EVERY_S = 1.0
QUIET_SHARE = 0.05  # of a core's time: a process that takes less is only waiting


class GarbageCollection:
    """Runs the collector until the current loop ends; it skips what exists at the start.

    The collector does not run before that: `node/__main__.py` has disabled it.
    """

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(YOUNG_OBJECTS, YOUNG_PASSES_MAX, OLD_PASSES_MAX)
        self._loop = asyncio.get_running_loop()
        self._worked_s = self._made_new_s = time.process_time()
        self._repeat(LOOK_AT_NEW_EVERY_S, self.look_at_new)
        self._repeat(LOOK_EVERY_S, self.look)

    def look_at_new(self) -> None:
        """Collect among the new objects, unless there can hardly be a cycle."""
        before_s, self._made_new_s = self._made_new_s, time.process_time()
        if self._made_new_s - before_s > QUIET_SHARE * LOOK_AT_NEW_EVERY_S:
            gc.collect(0)

    def look(self) -> None:
        """Collect among all objects, if the process has done nothing since the last look."""
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
