"""When a delete mark may go: no delete leaves anything behind for ever.

A mark hides older writes from replicas and readers that have not heard of the delete.  It may go
when all members have three things: the mark, the writes that it depended on, and all writes beside
it.  The last are those that others had done when this node first looked at the mark.
(protocol D6 as corrected.)
"""

from collections.abc import Callable

from node.core.model.dots import Dot, Vector
from node.core.model.hlc import NO_TIMESTAMP
from node.core.model.item import Item, Version, namings_of
from node.core.model.token import Token
from node.core.storage.watermarks import Watermarks

NO_DOT: Dot = ("", 0)


class DeleteMarks:
    """Tells which marks are done; `trim` takes from a token what every replica has."""

    def __init__(self, watermarks: Watermarks, trim: Callable[[Token], Token]) -> None:
        self._watermarks, self._trim = watermarks, trim
        self._beside: dict[Dot, Vector] = {}  # mark -> the highest seen when it was first looked at

    def on_view(self) -> None:
        """Begin a view: look at all marks anew."""
        self._beside.clear()

    def without_done(self, item: Item) -> Item:
        """The item without marks that are done, and without what these hid.  Their names stay, if
        they have any: a second name of such a write may come late, or from a client that sends it
        again, and must not delete what has been written since, nor come to life."""
        done = [d for d, v in item.versions.items() if v.value is None and self._is_done(d, v)]
        if not done:
            return item
        for dot in done:
            self._beside.pop(dot, None)
        last = max(
            (item.rank(d) for d in done if item.versions[d].lww and d in item.distinct()),
            default=(NO_TIMESTAMP, NO_DOT),
        )
        kept = {
            d: v
            for d, v in item.versions.items()
            if d not in done and not (v.lww and item.rank(d) < last)
        }
        names = namings_of({d: v for d, v in item.versions.items() if d not in kept})
        return Item(kept, item.past.naming(names).replacing(names))

    def _is_done(self, dot: Dot, mark: Version) -> bool:
        if not self._watermarks.all_have(*dot):
            return False
        beside = self._beside.setdefault(dot, dict(self._watermarks.highest_seen))
        late = any(not self._watermarks.all_have(actor, n) for actor, n in beside.items())
        return not late and not self._trim(mark.deps)
