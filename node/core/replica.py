"""One replica: every event goes in by `step`, and everything it causes comes out.

Only this file knows all parts.  One table leads from the kind of an event to its handler, which is
named for its event and reads top to bottom.  It does no I/O, reads no clock and draws no chance:
`now` comes in, `wake_at` goes out, and the random generator is given.
"""

import base64
import random
from collections.abc import Callable
from typing import Any

import msgspec

from node.core.maintenance.schedule import CLEANUP_EVERY_S, Maintenance
from node.core.membership.failure_detector import Detector
from node.core.membership.forgetting import forget_all
from node.core.membership.incarnations import Incarnations, Table
from node.core.membership.known_views import KnownViews
from node.core.membership.proposals import Proposals
from node.core.membership.services import Services
from node.core.membership.view_change import Subscribers, ViewChange
from node.core.membership.view_history import SavedViews, ViewHistory
from node.core.model.actors import short_name
from node.core.model.item import Item
from node.core.model.options import Options, Start
from node.core.model.view import View
from node.core.protocol import events, hints as h, inspection as i, messages as m, operations as ops
from node.core.protocol.effects import Damaged, Effects
from node.core.protocol.key_pages import CountKeys, FetchKeys, KeyCount, KeyPage
from node.core.protocol.step import Step
from node.core.protocol.watching import ChangePage, FetchChanges, ListChanges
from node.core.replication.pull import Repair
from node.core.requests.admission import Admission
from node.core.requests.causal_delivery import DeliveryBuffer
from node.core.requests.changes_origin import ChangesOrigin
from node.core.requests.expiring import Expiring
from node.core.requests.explaining import Explaining
from node.core.requests.hint_holder import HintHolder
from node.core.requests.hinting import Hinting
from node.core.requests.joined_clocks import JoinedClocks
from node.core.requests.key_counts import CountOrigin
from node.core.requests.key_events import KeyEvents
from node.core.requests.key_lists import Lists
from node.core.requests.key_pages import KeyPages
from node.core.requests.read_answer import DAMAGED_HERE
from node.core.requests.read_origin import ReadOrigin
from node.core.requests.read_owner import ReadOwner
from node.core.requests.write_home import Home
from node.core.requests.write_origin import WriteOrigin
from node.core.requests.write_replica import WriteReplica
from node.core.storage.keyspace import Keyspace
from node.core.storage.past_runs import UnknownRuns
from node.core.storage.row_scan import Rows

INCARNATIONS = msgspec.msgpack.Decoder(Table)
VIEWS = msgspec.msgpack.Decoder(SavedViews)
WAITING_TICK_S = 0.05
Handler = Callable[[Any, Any], None]  # of a source and its event, or of a request and its operation
Handlers = dict[type, tuple[Handler, Handler | None]]


class Replica:
    """A node's share of the store, and the requests of the clients that wait at it."""

    def __init__(
        self,
        address: str,
        saved: SavedViews,
        rows: Rows,
        node_id: str,
        run: str,
        options: Options,
        chance: random.Random,
    ) -> None:
        self.address, self.node_id = address, node_id
        self._step = step = Step()
        self.keyspace = Keyspace(rows, options, step)
        table = rows.read("meta", "lives")
        incarnations = Incarnations(INCARNATIONS.decode(table) if table else {})
        repair = Repair(address)
        if incarnations.claim(address, node_id):
            step.record("meta", "node", node_id.encode())
        self.detector = Detector(address)
        history, store, detector = ViewHistory(saved), self.keyspace, self.detector
        self.views = KnownViews(address, node_id, run, history, step, store, incarnations, repair)
        services = Services(step, store, self.views, repair, incarnations, detector)
        self.delivery_buffer = DeliveryBuffer(services, options)
        self.maintenance = Maintenance(services, options, chance)
        self._proposals = Proposals(services, self.maintenance.gossip)
        self._read_owner = ReadOwner(services, self.delivery_buffer, options)
        hinting, row_repair = Hinting(services), self.maintenance.row_repair
        self._read_origin = ReadOrigin(
            services, self._read_owner, self.delivery_buffer, row_repair, options,
            lambda request, put, found, tries: self._writes.begin(request, put, found, tries),
        )  # fmt: skip
        self._counts, self._lists = lists = CountOrigin(services), Lists(services)
        self._key_pages, self._hint_holder = KeyPages(services), HintHolder(services, options)
        feed, ask = self._read_origin.feed, self.maintenance.anti_entropy.ask_shard_peers
        self._home = Home(services, hinting, self.delivery_buffer, options, feed)
        self._write_replica = WriteReplica(services, row_repair, hinting, options, feed, ask)
        self._writes = WriteOrigin(services, hinting, self._handle, self._read_origin.looks.begin)
        self._expiring, events = Expiring(services, self._delete), KeyEvents(step)
        writes, reads = self._writes.under_way, self._read_origin.under_way
        self._explaining = Explaining(services, self.delivery_buffer, events, writes, reads)
        self._changes, self._clocks = ChangesOrigin(services, options), JoinedClocks(services)
        others = *lists, self._key_pages, self._explaining, self._changes, self._clocks
        self._under_way = (writes, reads, *(each.under_way for each in others), self._proposals)
        self._ticking = self._read_origin, self._writes, *others, self._expiring
        self._view_change = self._change_of_views(services)
        self.is_over = False  # it does nothing now: the rows are those of another replica
        handlers = self._table()
        self._handlers = events.watched({kind: each for kind, (each, _) in handlers.items()})
        self._if_damaged = {kind: instead for kind, (_, instead) in handlers.items()}
        self._epoch, self._admission = m.Epoch(), Admission(services, self._handle)

    def _change_of_views(self, services: Services) -> ViewChange:
        maintenance = self.maintenance
        subscribers = Subscribers(
            forget_comparisons=maintenance.on_view,
            compare_with_all=maintenance.anti_entropy.compare_with_all,
            recount_writes=self._writes.on_view,
            restart_reads=self._read_origin.restart,
        )
        return ViewChange(services, maintenance.membership, self._proposals, subscribers)

    def _table(self) -> Handlers:
        """For each kind of event or operation: its handler, and what to do instead when a row that
        it reads is damaged.  None: it reads no row, or it goes on without the row by itself."""
        home, copies, writes = self._home, self._write_replica, self._writes
        maintenance, proposals, counts = self.maintenance, self._proposals, self._counts
        repair, asked_again = maintenance.anti_entropy, lambda source, message: None
        return {
            m.Envelope: (self.on_envelope, None),
            events.Envelopes: (self.on_envelopes, None),
            events.Submit: (self.on_submit, None),
            m.Accept: (home.on_accept, home.on_accept_damaged),
            m.Written: (writes.on_ack, None),
            m.Ack: (writes.on_ack, None),
            m.Declined: (writes.on_declined, None),
            m.NotOwner: (writes.on_not_owner, None),
            m.CannotDecide: (writes.on_cannot_decide, None),
            m.Replicate: (copies.on_replicate, copies.on_replicate_damaged),
            m.ReplicateAgain: (copies.on_replicate_again, asked_again),
            h.Hint: (self._hint_holder.on_hint, None),
            h.Hinted: (writes.on_hinted, None),
            h.HandOver: (copies.on_hand_over, copies.on_hand_over_damaged),
            h.TakenOver: (self._hint_holder.on_taken_over, None),
            m.Fetch: (self._read_owner.on_fetch, None),
            m.State: (self._read_origin.on_state, None),
            m.ReadRepair: (copies.on_read_repair, copies.on_read_repair_damaged),
            CountKeys: (counts.on_count_keys, None),
            KeyCount: (counts.on_key_count, None),
            m.Compare: (repair.on_compare, None),
            m.Pull: (repair.on_pull, asked_again),
            m.ItemPage: (repair.on_page, asked_again),
            m.SamePage: (repair.on_page, asked_again),
            m.RowPage: (repair.on_page, asked_again),
            m.Heartbeat: (self.on_heartbeat, None),
            m.Gossip: (self.on_gossip, None),
            m.Views: (self._view_change.on_views, None),
            m.Join: (proposals.on_join, None),
            m.ForwardedProposal: (proposals.on_forwarded_proposal, None),
            m.Granted: (proposals.on_granted, None),
            m.DeclaredRuns: (maintenance.gossip.on_declared_runs, None),
            m.WantRuns: (maintenance.gossip.on_want_runs, None),
            m.Superseded: (self.on_superseded, None),
            i.Inspect: (self._explaining.on_inspect, None),
            i.Inspected: (self._explaining.on_inspected, None),
            events.LinkUp: (self.on_link_up, None),
            events.LinkDown: (self.on_link_down, None),
            events.Tick: (self.on_tick, None),
            **self._operations(),
        }

    def _operations(self) -> Handlers:
        """The part of the table that is about clients' requests, and about lists and changes."""
        return {
            ops.Put: (self._writes.begin, None),
            ops.Get: (self._read_origin.begin, None),
            ops.Peek: (self._read_owner.peek, self._refusing(DAMAGED_HERE)),
            ops.StoreLocally: (self._home.keep, self._refusing(DAMAGED_HERE)),
            ops.Count: (self._counts.begin, None),
            i.Explain: (self._explaining.begin, None),
            i.Recognize: (self._explaining.recognize, None),
            ops.List: (self._lists.begin, None),
            ops.ListKeys: (self._key_pages.begin, None),
            FetchKeys: (self._key_pages.on_fetch_keys, None),
            KeyPage: (self._key_pages.on_key_page, None),
            i.JoinClocks: (self._clocks.begin, None),
            i.AskClocks: (self._clocks.on_ask_clocks, None),
            i.ClocksTold: (self._clocks.on_clocks_told, None),
            ListChanges: (self._changes.begin, None),
            FetchChanges: (self._changes.holder.on_fetch_changes, None),
            ChangePage: (self._changes.on_change_page, None),
            ops.Look: (self.delivery_buffer.look, self._refusing(f"of some key: {DAMAGED_HERE}")),
        }

    def _handle(self, source: str | int, event: Any) -> None:
        """Handle an event of a source, or the operation of a client's request."""
        try:
            self._handlers[type(event)](source, event)
        except Damaged as found:
            if_damaged = self._if_damaged.get(type(event))
            if if_damaged is None:
                raise
            self._step.suspect(found)
            if_damaged(source, event)

    def _refusing(self, reason: str) -> Handler:
        refusal = ops.Unavailable(reason, definite=True)
        return lambda request, operation: self._step.reply(request, refusal)

    @property
    def view(self) -> View:
        """The current view."""
        return self.views.view

    def step(self, now: float, source: str, event: events.Event) -> Effects:
        """Handle one event of `source` (an address; our own for clients and timers) at `now`
        (seconds, never going back)."""
        step = self._step
        step.begin(now)
        self._handle(source, event)
        step.end()
        if step.ends:
            self._be_silent(step.ends)
        if runs := self.keyspace.runs:
            step.exchange_names(lambda sent: runs.sent(sent, self.address))
        self.keyspace.trim_cache()
        return step.finish(self.views.epoch, self._wake_at(now))

    def on_envelope(self, source: str, envelope: m.Envelope) -> None:
        """Handle a peer's message; drop one that is bound to another view."""
        self.detector.hear(source, self._step.now)
        message, epoch = envelope.message, envelope.epoch
        if epoch != self.views.epoch and type(message) is not m.Views:
            is_ahead = self.maintenance.gossip.is_ahead(source, epoch)
            is_other = is_ahead or epoch.view != self.views.epoch.view
            if is_other and type(message) in m.BOUND_TO_VIEW:
                return
            if type(message) in m.BOUND_TO_OLDEST_VIEW:
                return
        self._epoch = epoch
        try:
            message = self.keyspace.runs.received(message)
        except UnknownRuns:
            self._step.ask(source, m.WantRuns())
            return
        if self.views.is_vouched_for or self.maintenance.identity.goes_with(source, message):
            self._handle(source, message)

    def on_envelopes(self, source: str, envelopes: events.Envelopes) -> None:
        for envelope in envelopes.envelopes:
            self.on_envelope(source, envelope)

    def _wake_at(self, now: float) -> float:
        if self.is_over:
            return float("inf")
        keyspace, next_page = self.keyspace, self.maintenance.anti_entropy.next_page
        if any(self._under_way):
            return min(now + WAITING_TICK_S, next_page)
        is_counting = not keyspace.content_hashes.is_whole
        is_busy = keyspace.cleanup.slots or keyspace.log.is_behind or is_counting
        soon = now + CLEANUP_EVERY_S if is_busy else self.delivery_buffer.next_tick
        heartbeat, hints = self.maintenance.gossip.next_heartbeat, self._hint_holder.next_tick
        return min(soon, heartbeat, next_page, hints)

    def next_request(self, now: float) -> int:
        """A number for a request, which no earlier run of this node has used."""
        return self._step.numbers.next(now)

    def peek(self, key: str) -> Item:
        """The filled state of a key as this replica holds it, for checks and reports."""
        return self.keyspace.filled(key)

    def waiting(self) -> dict[str, int]:
        """The number of our clients' requests that are under way."""
        return {"writes": len(self._writes), "reads": len(self._read_origin)}

    # ---- our clients
    def on_submit(self, source: str, submit: events.Submit) -> None:
        request, operation = submit.request, submit.operation
        if isinstance(operation, ops.Propose):
            self._proposals.on_propose(request, operation)
        elif isinstance(operation, ops.Forget):
            forget_all(self.views, self.keyspace.rows, self._step)
            self._step.reply(request, ops.Forgotten())
        else:
            self._admission.admit(request, operation)

    def _be_silent(self, reason: str) -> None:
        """Stop: another replica takes over when this step is durable, and peers hear no more of
        this one. Until then it refuses the requests of clients, and has certainly done nothing for
        them."""
        refusal = ops.Unavailable(f"{reason}; try again", definite=True)
        self._step.say_nothing()
        self._handlers = dict.fromkeys(self._handlers, lambda source, event: None)
        self._handlers[events.Submit] = lambda _, submit: self._step.reply(submit.request, refusal)
        self.is_over = True

    # ---- views
    def on_heartbeat(self, source: str, heartbeat: m.Heartbeat) -> None:
        self.maintenance.gossip.on_heartbeat(source, heartbeat, self._epoch)

    def on_gossip(self, source: str, gossip: m.Gossip) -> None:
        self.maintenance.leaving.on_gossip(source, gossip, self._epoch)

    def on_superseded(self, source: str, message: m.Superseded) -> None:
        self.maintenance.identity.on_superseded(source, message, self._epoch)

    # ---- links and time
    def on_link_up(self, source: str, event: events.LinkUp) -> None:
        self.detector.link_up(event.peer, self._step.now)
        self.maintenance.on_link_up(event.peer)

    def on_link_down(self, source: str, event: events.LinkDown) -> None:
        self.detector.link_down(event.peer)
        self._tick_waiting()

    def on_tick(self, source: str, event: events.Tick) -> None:
        self._tick_waiting()
        self.delivery_buffer.tick(self.maintenance.anti_entropy.ask_shard_peers)
        self._proposals.tick()
        if self.views.is_orphaned():
            self._proposals.replace_us()
        self.maintenance.tick()
        self._hint_holder.tick()  # after the first tick has looked at the disk's address

    def _tick_waiting(self) -> None:
        for part in self._ticking:
            part.tick()

    def _delete(self, put: ops.Put) -> None:
        """Name a write that no client waits for."""
        self._handle(self.address, m.Accept(self.next_request(self._step.now), put))


def restore(
    address: str, start: Start, rows: Rows, options: Options, chance: random.Random
) -> Replica:
    """The replica whose rows these are, in a new run.  If the rows have no node id, it is a new
    incarnation with a random one."""
    node = rows.read("meta", "node")
    drawn = base64.urlsafe_b64encode(chance.getrandbits(128).to_bytes(16, "big"))
    fresh = drawn.decode().rstrip("=")
    node_id, run = node.decode() if node else fresh, short_name(f"run {fresh}")
    views = rows.read("meta", "views")
    saved = VIEWS.decode(views) if views else ViewHistory.begin(start.view, start.join)
    return Replica(address, saved, rows, node_id, run, options, chance)
