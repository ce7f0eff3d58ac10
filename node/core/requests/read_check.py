"""Checks after reads of one replica: do the other owners have what the read has shown?

A read of one replica asks no other one, so it cannot repair.  After some of these reads the origin
asks the other owners, too, while its client has its answer already; read repair tells those that
lack something, and only those.  A check follows only a read that has shown a version which is not
known to be everywhere, and which has not just been written.  A node makes at most one check every
CHECK_EVERY_S, and none of the same versions of a key within AGAIN_S.  So the cost does not grow
with the reads, and nodes that have nothing to tell each other check nothing.  (protocol D4.4.)
"""

from node.core.membership.services import Services
from node.core.model.dots import Dot, covered_by
from node.core.model.item import Item
from node.core.protocol.effects import Damaged
from node.core.protocol.messages import Fetch
from node.core.protocol.operations import Get
from node.core.requests.coverage import Need
from node.core.requests.read_repair import ReadRepairs
from node.core.requests.reading import Read

CHECK_EVERY_S = 0.25
AGAIN_S = 10.0
ON_ITS_WAY_S = 0.5  # a version that was written later is taken to be on its way to all owners


class ReadChecks:
    """The checks of one origin; `repairs` takes the states that come, and tells what is lacking."""

    def __init__(self, services: Services, repairs: ReadRepairs) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._detector, self._repairs = services.detector, repairs
        self._next = 0.0
        self._checked: dict[str, tuple[frozenset[Dot], float]] = {}

    def after_own(self, request: int, get: Get, need: Need) -> None:
        """Check a key that was read from this node's own state, if a check is due."""
        if not get.check or self._step.now < self._next:
            return
        try:
            if not self._wants(get.key, self._keyspace.item(get.key), need):
                return
            item = self._keyspace.filled(get.key)
        except Damaged as found:
            self._step.suspect(found)
            return
        owners = self._views.replicas_of(get.key, request)
        self._begin(request, Read(get, need, owners, (), set(), self._step.now, item))

    def after(self, request: int, read: Read) -> None:
        """Check a key that was read from what another node has sent, if a check is due."""
        get, item = read.get, read.item
        if get.check and self._step.now >= self._next and self._wants(get.key, item, read.need):
            self._begin(request, read)

    def _begin(self, request: int, read: Read) -> None:
        """Ask the owners that the read has not asked."""
        key, now = read.get.key, self._step.now
        had = {self._views.address, *read.senders}
        others = [m for m in read.owners if m not in had and self._detector.reachable(m, now)]
        self._next = now + CHECK_EVERY_S
        self._checked = {k: (d, at) for k, (d, at) in self._checked.items() if now - at < AGAIN_S}
        self._checked[key] = frozenset(read.item.versions), now
        for owner, message in self._repairs.begin(request, read, now):
            self._step.tell(owner, message)
        for owner in others:
            self._step.ask(owner, Fetch(request, key, bound=True))

    def _wants(self, key: str, item: Item, need: Need) -> bool:
        """Whether an owner may lack a version of the item, and it was not checked a while ago."""
        dots, at = self._checked.get(key, (frozenset(), 0.0))
        if dots == item.versions.keys() and self._step.now - at < AGAIN_S:
            return False
        before_ms = self._step.now_ms - ON_ITS_WAY_S * 1000
        return any(
            n > covered_by(need.cluster_watermark, actor) and version.timestamp[0] < before_ms
            for (actor, n), version in item.versions.items()
        )
