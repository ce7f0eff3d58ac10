"""Explanations: what all nodes have of one key, gathered at the node whose client asks.

    begin          report what is here, and ask all other nodes
    on_inspect     another node asks: report what is here
    on_inspected   a report comes; answer when all nodes that can be reached have sent one
    tick           time passes: ask again, or answer with what there is
    recognize      answer what a token or a context says

Nodes of other shards are asked, too: they keep hints, and requests about the key wait there.  A
node that cannot be reached is asked, and not waited for.  (docs/decisions/0047.)
"""

from collections.abc import Iterator, Mapping
from itertools import islice

import msgspec

from node.core.membership.services import Services
from node.core.model.item import Item, Past
from node.core.model.keys import key_hash_of, slot_of_key
from node.core.protocol.effects import Damaged
from node.core.protocol.inspection import (
    Explain,
    Explained,
    HeldVersion,
    Inspect,
    Inspected,
    KeptHint,
    KeyReport,
    Lacking,
    Recognize,
    Recognized,
    Silence,
    WaitingRequest,
)
from node.core.protocol.operations import Get
from node.core.requests.causal_delivery import DeliveryBuffer
from node.core.requests.coverage import need_of
from node.core.requests.key_events import KeyEvents
from node.core.requests.one_write import Write
from node.core.requests.reading import Read

ASK_AGAIN_S = 0.2
HINTS_SHOWN_MAX = 100
WAITING_SHOWN_MAX = 20
JSON_TYPE = "application/json"  # of a version without labels


class Inquiry(msgspec.Struct):
    """One explanation under way."""

    explain: Explain
    started: float
    asked_at: float
    reports: dict[str, KeyReport]


class Explaining:
    """Both sides of an explanation.  `writes` and `reads` are those of this node's clients that are
    under way; `under_way`: the explanations that wait for reports."""

    def __init__(
        self,
        services: Services,
        delivery_buffer: DeliveryBuffer,
        events: KeyEvents,
        writes: Mapping[int, Write],
        reads: Mapping[int, Read],
    ) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._detector, self._delivery_buffer = services.detector, delivery_buffer
        self._events, self._writes, self._reads = events, writes, reads
        self.under_way: dict[int, Inquiry] = {}

    # ---- the node whose client asks
    def begin(self, request: int, explain: Explain) -> None:
        """Ask all other nodes what they have of the key."""
        now, here = self._step.now, {self._views.address: self.report(explain.key)}
        self.under_way[request] = inquiry = Inquiry(explain, now, now, here)
        self._ask(request, inquiry)
        self._judge(request, inquiry)

    def _ask(self, request: int, inquiry: Inquiry) -> None:
        inquiry.asked_at = self._step.now
        for peer in self._silent(inquiry):
            self._step.ask(peer, Inspect(request, inquiry.explain.key))

    def _silent(self, inquiry: Inquiry) -> list[str]:
        return [peer for peer in self._views.peers() if peer not in inquiry.reports]

    def on_inspected(self, source: str, message: Inspected) -> None:
        inquiry = self.under_way.get(message.request)
        if inquiry is not None:
            inquiry.reports[source] = message.report
            self._judge(message.request, inquiry)

    def tick(self) -> None:
        """Ask again, or answer with what there is, as time demands."""
        for request, inquiry in list(self.under_way.items()):
            if self._step.now - inquiry.asked_at >= ASK_AGAIN_S:
                self._ask(request, inquiry)
            self._judge(request, inquiry)

    def _judge(self, request: int, inquiry: Inquiry) -> None:
        """Answer if every node that can be reached has reported, or the time is over."""
        now = self._step.now
        silent = self._silent(inquiry)
        is_over = now - inquiry.started >= inquiry.explain.timeout_s
        if is_over or not any(self._detector.reachable(peer, now) for peer in silent):
            del self.under_way[request]
            silences = {peer: self._silence(peer) for peer in silent}
            missing = self._missing(inquiry)
            self._step.reply(request, Explained(inquiry.reports, silences, missing))

    def _silence(self, peer: str) -> Silence:
        now, heard = self._step.now, self._detector.heard(peer)
        return Silence(self._detector.reachable(peer, now), now - heard if heard > 0 else None)

    def _missing(self, inquiry: Inquiry) -> dict[str, Lacking]:
        """What each replica lacks that a read of the key with this token wants."""
        get = Get(inquiry.explain.key, token=inquiry.explain.token)
        need = need_of(key_hash_of(get.key, False), self._views, self._keyspace)
        return {
            node: need.to_show(get, Item({}, report.past), report.clock)
            for node, report in inquiry.reports.items()
            if report.holds
        }

    # ---- the node that is asked
    def on_inspect(self, source: str, inspect: Inspect) -> None:
        self._step.tell(source, Inspected(inspect.request, self.report(inspect.key)))

    def report(self, key: str) -> KeyReport:
        """What this node has of a key, and what is under way here."""
        part = self._keyspace.parts.at(slot_of_key(key))
        item, hints, is_damaged = Item(), tuple[KeptHint, ...](), False
        try:
            hints = self._hints_of(key)
            item = self._keyspace.filled(key)
        except Damaged as found:
            self._step.suspect(found)
            is_damaged = True
        return KeyReport(
            view=self._views.view.id,
            holds=part is not None,
            whole=part is not None and part.answers and self._views.is_confirmed,
            damaged=is_damaged,
            versions=tuple(self._versions_of(key, item)),
            past=Past(item.past.base, item.past.loose, item.past.oldest_view),
            clock=part.clock.copy() if part is not None else KeyReport().clock,
            hints=hints,
            waiting=tuple(islice(self._waiting_for(key), WAITING_SHOWN_MAX)),
            events=self._events.of(key),
        )

    def _hints_of(self, key: str) -> tuple[KeptHint, ...]:
        kept = islice(self._keyspace.hints.of_key(key), HINTS_SHOWN_MAX)
        return tuple(KeptHint(hint.target, hint.dot, hint.at_ms) for hint in kept)

    def _versions_of(self, key: str, item: Item) -> Iterator[HeldVersion]:
        """The versions with why readers are not shown them, the latest first."""
        present = item.at(self._step.now_ms)
        single, shown = present.distinct(), present.shown()
        delivered = self._delivery_buffer.shown(key) if self._delivery_buffer else None
        for dot in sorted(item.versions, key=item.rank, reverse=True):
            version = item.versions[dot]
            if delivered is not None and dot not in delivered.versions:
                state = "early"
            elif version.value is None:
                state = "delete"
            elif dot not in present.versions:
                state = "expired"
            elif dot not in single:
                state = "repeated"
            else:
                state = "shown" if dot in shown else "hidden"
            content_type = version.labels.content_type if version.labels else JSON_TYPE
            content_type = "" if version.value is None else content_type
            yield HeldVersion(
                dot, version.timestamp, state, len(version.value or b""), content_type,
                version.expires,
            )  # fmt: skip

    def _waiting_for(self, key: str) -> Iterator[WaitingRequest]:
        now = self._step.now
        for write in self._writes.values():
            if write.put.key == key:
                yield WaitingRequest("write", now - write.started, {}, write.nodes())
        for read in self._reads.values():
            if read.get.key == key:
                since = now - read.started
                yield WaitingRequest("read", since, read.missing(), tuple(read.senders))

    # ---- tokens and contexts
    def recognize(self, request: int, asked: Recognize) -> None:
        """Answer what a token and a context say; they were let in, so they are of this cluster."""
        token = self._keyspace.runs.spelled(asked.token)
        self._step.reply(request, Recognized(token, asked.context))
