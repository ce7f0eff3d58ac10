"""How a conversation spells what it shows: short, complete, and the same on every run.

An actor's name is its node's, with a prime for each lost disk (a1, a1').  From the second run on
that has written something, the number of the run follows a slash (a1/2); if the view in which it
writes is not the first, the view follows an @. A view's name is its number, with its proposer where
two views share a number (2.b1).  A request's name says its kind: w1 a write, r1 a read, n1 a count,
v1 another view.

A message of another view than the first shows its stamp, "@2", or "@2/1" while the oldest view is
still 1; so do clocks that have an oldest view ("below 2").  Slots are counted ("2048 slots"), and
left out where a node's slots are all alike and of the first view.  Time stamps, sizes and numbers
of exchanges are left out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item
from node.core.model.keys import key_of
from node.core.model.quorum import AVAILABLE
from node.core.model.slots import from_bytes, to_bytes
from node.core.model.view import FIRST, View, ViewId
from node.core.protocol import (
    hints as h,
    inspection as i,
    key_pages as k,
    messages as m,
    watching as w,
)
from node.core.protocol.operations import (
    Absent,
    Adopted,
    Counted,
    Forgotten,
    Found,
    KeysListed,
    Listed,
    Looked,
    Mismatch,
    Outcome,
    Outdated,
    OutOfBounds,
    Overfull,
    Put,
    Rejected,
    Reused,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.replica import Replica
from node.core.storage.keyspace import ITEMS
from tests.conversations.changes import Changes
from tests.conversations.names import braces
from tests.conversations.values import text_of


class Words(Changes):
    """The words of one conversation."""

    def __init__(self) -> None:
        super().__init__()
        self._is_first = True  # the view of the present message
        self._message_words: dict[type, Callable[[Any], str]] = {
            m.Accept: lambda a: (
                f"{self.request(a.request)} {self.put(a.put)}{self._hints(a.hints)}"
            ),
            m.Ack: lambda a: f"{self.request(a.request)} {self.dot(a.dot)}",
            m.Written: self._written,
            m.Declined: lambda d: f"{self.request(d.request)} {self.outcome(d.outcome)}",
            m.Replicate: lambda r: f"{self.request(r.request)} {r.key}={self.item(r.item)}",
            m.ReplicateAgain: self._replicate_again,
            h.Hint: lambda n: (
                f"{self.request(n.request)} {n.key}={self.item(n.item)} for {n.target}"
            ),
            h.Hinted: lambda n: f"{self.request(n.request)} {self.dot(n.dot)} for {n.target}",
            h.HandOver: lambda n: f"{n.key}={self.item(n.item)}",
            h.TakenOver: lambda n: self.dot(n.dot),
            m.Fetch: lambda f: f"{self.request(f.request)} {f.key}{self._have(f.have)}",
            m.State: self._state,
            m.ReadRepair: lambda n: f"{n.key}={self.item(n.item)}{self._rest(n.rest)}",
            k.CountKeys: lambda c: self.request(c.request),
            k.KeyCount: lambda c: f"{self.request(c.request)} {c.keys}",
            k.FetchKeys: lambda f: f"{self.request(f.request)} {self.slots(f.slots)}",
            w.FetchChanges: self.fetch_changes,
            w.ChangePage: self.change_page,
            k.KeyPage: lambda p: f"{self.request(p.request)} {' '.join(p.keys)} upto {p.upto}",
            m.Compare: self._compare,
            m.Pull: self._pull,
            m.ItemPage: self._item_page,
            m.SamePage: self._same_page,
            m.RowPage: self._row_page,
            m.Heartbeat: self._heartbeat,
            m.Gossip: self._gossip,
            m.Views: self._views,
            m.NotOwner: lambda e: self.request(e.request),
            m.CannotDecide: lambda u: self.request(u.request),
            m.Join: lambda j: j.address,
            m.ForwardedProposal: lambda w: self.request(w.request),
            m.DeclaredRuns: lambda r: str(len(r.chains)),
            m.WantRuns: lambda w: "",
            m.Superseded: lambda s: f"{self.node(s.mark.node_id)}: {s.reason}",
            m.Granted: lambda g: f"{self.request(g.request)} {self.layout(g.view)}",
            i.AskClocks: lambda c: self.request(c.request),
            i.ClocksTold: lambda c: f"{self.request(c.request)} {self.token(c.token)}",
            i.Inspect: lambda n: f"{self.request(n.request)} {n.key}",
            i.Inspected: lambda n: f"{self.request(n.request)} {self.report(n.report)}",
        }

    # ---- parts of messages
    def incarnations(self, incarnations: dict[str, dict[str, int]]) -> str:
        names = sorted(self.node(node_id) for ids in incarnations.values() for node_id in ids)
        return braces(names)

    def put(self, put: Put) -> str:
        value = "delete" if put.value is None else text_of(put.value)
        parts = [f"{put.key} {value}"]
        parts += [f"context {self.past(put.context)}"] if put.context else []
        parts += [f"token {self.token(put.token)}"] if put.token else []
        parts += [put.level] if put.level != AVAILABLE else []
        parts += ["clocked"] if put.clocked else []
        parts += [f"as {put.identity}"] if put.repeatable_as else []
        return " ".join(parts)

    def slots(self, packed: bytes) -> str:
        return f"{from_bytes(packed).bit_count()} slots"

    # ---- messages
    def envelope(self, envelope: m.Envelope) -> str:
        message, epoch = envelope.message, envelope.epoch
        self._is_first = epoch.view == FIRST
        words = self._message_words[type(message)](message)
        return f"{type(message).__name__} {words}".rstrip() + self._epoch(epoch)

    def _epoch(self, epoch: m.Epoch) -> str:
        if epoch.view == FIRST:
            return ""
        oldest = f"/{self.view(epoch.oldest_view)}" if epoch.oldest_view != epoch.view else ""
        return f" @{self.view(epoch.view)}{oldest}"

    def kind(self, message: m.Message) -> str:
        """Spell the short form, for a reader who has seen the long one when it was sent."""
        number = getattr(message, "request", None)
        return type(message).__name__ + (f" {self.request(number)}" if number else "")

    def _replicate_again(self, a: m.ReplicateAgain) -> str:
        owners, hints = " ".join(a.owners), self._hints(a.hints)
        return f"{self.request(a.request)} {self.dot(a.dot)} to {owners}{hints}"

    def _hints(self, hints: Iterable[tuple[str, str]]) -> str:
        """Spell with whom a write is left for owners that cannot be reached."""
        return "".join(f", for {target} to {holder}" for target, holder in hints)

    def _written(self, n: m.Written) -> str:
        replaced = " replaced a value" if n.replaced else ""
        return f"{self.request(n.request)} {self.dot(n.dot)} token {self.token(n.token)}{replaced}"

    def _state(self, s: m.State) -> str:
        item, clock = self.item(s.item), self.clock(s.clock)
        complete_for = self._complete_for(s.complete_for)
        return f"{self.request(s.request)} {item}{self._rest(s.rest)} clock {clock}{complete_for}"

    def _rest(self, rest: Iterable[Dot]) -> str:
        """Spell the versions that a message leaves out."""
        names = braces(sorted(map(self.dot, rest)))
        return f" and {names}" if names != "{}" else ""

    def _have(self, have: Iterable[Dot]) -> str:
        names = braces(sorted(map(self.dot, have)))
        return f" but {names}" if names != "{}" else ""

    def _complete_for(self, complete_for: Iterable[ViewId]) -> str:
        """Spell the views that a store is complete for; of the first view, only "arriving"."""
        views = set(complete_for)
        if not views:
            return " arriving"
        return f" complete {self.views_of(views)}" if views != {FIRST} else ""

    def slot_group(
        self, slots: bytes, clock: DotClock, complete_for: list[ViewId], alone: bool
    ) -> str:
        counted = "" if alone and set(complete_for) <= {FIRST} else f"{self.slots(slots)} "
        return f"{counted}{self.clock(clock)}{self._complete_for(complete_for)}"

    def _heartbeat(self, b: m.Heartbeat) -> str:
        lacking = f" lacking {b.lacking}" if b.lacking else ""
        leaving = f" leaving {b.leaving}" if b.leaving else ""
        return f"{self.node(b.node_id)}{lacking}{leaving}"

    def _gossip(self, n: m.Gossip) -> str:
        news = (
            f"lives {self.incarnations(n.incarnations)} stable {self.vector(n.cluster_watermark)}"
        )
        return f"{news}{self.reports(n.reports)}{self._lost(n.lost)}"

    def reports(self, reports: dict[str, ViewId]) -> str:
        entries = {self.node(node_id): self.view(view) for node_id, view in reports.items()}
        words = braces(f"{name}:{view}" for name, view in sorted(entries.items()))
        return f" reports {words}" if reports else ""

    def _lost(self, lost: Iterable[str]) -> str:
        """Spell node ids, or addresses of nodes that were never heard of."""
        words = braces(sorted(self._nodes.get(node_id, node_id) for node_id in lost))
        return f" lost {words}" if words != "{}" else ""

    def _views(self, v: m.Views) -> str:
        views = self.views_of(view.id for view in v.views)
        return f"{views} oldest {self.view(v.oldest_view)}{self._lost(v.gossip.lost)}"

    def _actor_list(self, title: str, actors: Iterable[str]) -> str:
        names = [self.actor(actor) for actor in actors]
        return f" {title} {' '.join(names)}" if names else ""

    def _compare(self, c: m.Compare) -> str:
        alone = len(c.summaries) == 1
        has = [self.slot_group(h.slots, h.clock, h.complete_for, alone) for h in c.summaries]
        lists = self._actor_list("ended", c.refused) + self._actor_list("closed", c.closed)
        answer = " answer, please" if c.answer else ""
        return f"{self.node(c.node_id)} has {', '.join(has) or 'nothing'}{lists}{answer}"

    def _pull(self, p: m.Pull) -> str:
        after = "" if p.after is None else f" after {p.after or 'the start'}"
        snapshot = "" if p.snapshot is None else f" of {self.clock(p.snapshot)}"
        slots = "" if self._is_first else f" of {self.slots(p.slots)}"
        of = f"{snapshot}{after}{self._have(p.have)}"
        return f"{self.node(p.node_id)}{slots} has {self.clock(p.clock)}{of}"

    def _item_page(self, p: m.ItemPage) -> str:
        return self._page(p, self._dots(p.dots), self._items(p.items) + self._rest(p.rest))

    def _same_page(self, p: m.SamePage) -> str:
        return self._page(p, self._dots(p.dots), self._items({}))

    def _row_page(self, p: m.RowPage) -> str:
        rows = {key_of(row): ITEMS.decode(blob) for row, blob in p.rows.items()}
        return self._page(p, "all rows", self._items({**p.items, **rows}) + self._rest(p.rest))

    def _dots(self, keys: dict[Dot, str]) -> str:
        dots = (f"{self.dot(dot)} of {key or 'no slot of these'}" for dot, key in keys.items())
        return f"dots {braces(sorted(dots), ', ')}"

    def _items(self, items: dict[str, Item]) -> str:
        return braces((f"{key}={self.item(i)}" for key, i in items.items()), ", ")

    def _page(self, p: m.Page, what: str, items: str) -> str:
        slots = "" if self._is_first else f" of {self.slots(p.slots)}"
        end = " last" if p.last else ""
        complete_for = self._complete_for(p.complete_for)
        return f"{what}{slots} items {items} of {self.clock(p.snapshot)}{end}{complete_for}"

    # ---- outcomes
    def outcome(self, outcome: Outcome) -> str:
        match outcome:
            case Stored():
                of = f"{outcome.acks} of {outcome.copies}, home {outcome.home}"
                of += f", {outcome.hints} hints" if outcome.hints else ""
                of += f"; clock {self.vector(outcome.clock)}" if outcome.clock else ""
                return f"Stored {self.dot(outcome.dot)} on {of}; token {self.token(outcome.token)}"
            case Found():
                values = ", ".join(map(text_of, outcome.values))
                return f"Found {values} at {outcome.served_by}; token {self.token(outcome.token)}"
            case Absent():
                return f"Absent at {outcome.served_by}; token {self.token(outcome.token)}"
            case Mismatch():
                shows = "a value" if outcome.shown_tag else "no value"
                where = f"{outcome.served_by} shows {shows}"
                return f"Mismatch: {where}; token {self.token(outcome.token)}"
            case Unmet():
                lines = (
                    f"{self._entry(entry)} has {have}, needs {need}"
                    for entry, (have, need) in outcome.missing.items()
                )
                return f"Unmet: {'; '.join(sorted(lines))}"
            case Unavailable():
                certain = "certainly not done" if outcome.definite else "outcome unknown"
                return f"Unavailable ({certain}): {outcome.reason}"
            case Rejected():
                return f"Rejected: {outcome.reason}"
            case Overfull():
                return f"Overfull: {outcome.reason}"
            case OutOfBounds():
                return f"OutOfBounds: {outcome.reason}"
            case Reused():
                return f"Reused: {outcome.reason}"
            case Counted():
                return f"Counted {outcome.keys}"
            case Adopted():
                return f"Adopted {self.layout(outcome.view)}"
            case Outdated():
                return f"Outdated: {self.layout(outcome.view)}"
            case KeysListed():
                return f"Keys {braces(outcome.keys)}; token {self.token(outcome.token)}"
            case Listed():
                listed = braces(sorted(outcome.items))
                return f"Listed {outcome.shard} {listed}; token {self.token(outcome.token)}"
            case w.ChangesListed() | w.Untraceable():
                return self.changes(outcome)
            case i.Explained():
                return self.explained(outcome)
            case Forgotten() | Looked() | i.Recognized() | i.ClocksJoined():
                return type(outcome).__name__

    def _entry(self, entry: str) -> str:
        """Spell what a token names: an actor, or a view."""
        return entry if entry.startswith("view.") else self.actor(entry)

    def layout(self, view: View) -> str:
        """Spell a layout: `view 2: s1 a1 a2 2048 slots; ..`, and the nodes that are in no shard."""
        shards = [
            f"{shard.id} {' '.join(shard.members)} {view.slots_of_shard(i).bit_count()} slots"
            for i, shard in enumerate(view.shards)
        ]
        spare = [node for node in view.nodes if view.shard_with(node) is None]
        shards += [f"no shard {' '.join(spare)}"] if spare else []
        return f"view {self.view(view.id)}: {'; '.join(shards)}"

    def place(self, replica: Replica) -> Iterator[str]:
        """Spell view and slots, unless they are those of a settled first view."""
        history, parts = replica.views.history, list(replica.keyspace.parts)
        if replica.view.id == FIRST and len(parts) <= 1:
            return
        oldest = "" if history.settled else f", oldest {self.view(history.oldest_view)}"
        yield f"view {self.view(replica.view.id)}{oldest}"
        for part in parts:
            role = "owns" if part.owned else "holds"
            held = self.slot_group(
                to_bytes(part.slots), part.clock, sorted(part.complete_for), alone=False
            )
            yield f"{role} {held}"
