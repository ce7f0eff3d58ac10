"""Anti-entropy: nodes compare what they have, and a node that lacks something pulls it.

The conversation, in the order of this file:

    compare_with_all  a node tells its peers the clock of each of its slots (`Compare`)
    on_compare        a peer takes note, and answers with a `Compare` of its own if asked to
    pull              a node that has lacked something for a moment asks a holder for it (`Pull`)
    on_pull           the holder sends one page (of three kinds, `Page`) and keeps no state
    on_page           the node merges the page and asks for the next one

The node that pulls drives the exchange: a lost message costs a repetition, and a holder that stops
costs nothing.  `replication/pull.py` knows what each peer has, and `replication/sync_pages.py` what
a page says.  A comparison or a page may complete something: slots arrive, gaps of past incarnations
close, slots of others may be dropped.  So on_compare and on_page go on with what follows, and then
pull again.  (protocol D5-D7, D10 R3.)
"""

from collections.abc import Iterable

from msgspec.structs import replace

from node.core.integrity.content_compare import ContentCompare
from node.core.integrity.row_repair import NEVER, RowRepair
from node.core.membership.rooms import Membership
from node.core.membership.services import Services
from node.core.model.options import Options
from node.core.model.pace import pace_of
from node.core.model.slots import from_bytes, to_bytes
from node.core.protocol.messages import Compare, Page, Pull, SlotSummary
from node.core.replication.progress import progress_of
from node.core.replication.pull import GRACE_S
from node.core.replication.sync_pages import serve, take_in

BUSY_S = 0.1  # so long after something was done for a client, background work gives way


class AntiEntropy:
    """Comparing and pulling, for one replica."""

    def __init__(
        self,
        services: Services,
        options: Options,
        membership: Membership,
        row_repair: RowRepair,
        content_compare: ContentCompare,
    ) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._repair, self._incarnations = services.peers, services.incarnations
        self._detector, self._options = services.detector, options
        self._bootstrap, self._gossip = membership.bootstrap, membership.gossip
        self._identity, self._closing = membership.identity, membership.closing
        self._leaving = membership.leaving
        self._row_repair, self._content_compare = row_repair, content_compare

    # ---- 1: say what is here
    def compare_with_all(self) -> None:
        """Compare with the shard peers; while slots move, with all nodes."""
        answer = not (self._bootstrap.is_over and self._views.is_confirmed)
        whom = self.able()
        if self._views.history.settled and self._keyspace.parts.outgoing():
            answer = True  # their owners have nothing to ask us
        elif self._views.history.settled:
            others = [peer for peer in whom if peer not in self._repair.shard_peers]
            whom = [peer for peer in whom if peer in self._repair.shard_peers]
            # They compare with us by themselves only as shard peers, and one answer may be lost.
            self._compare_with(filter(self._is_asked_about_us, others), answer=True)
        self._compare_with(whom, answer)

    def ask_shard_peers(self) -> None:
        """Ask the shard peers at once for what is missing here."""
        shard_peers = self._repair.shard_peers
        self._compare_with((peer for peer in self.able() if peer in shard_peers), answer=True)

    def on_link_up(self, peer: str) -> None:
        """Compare at once with a peer that this node needs: to be heard of, or to have its disk
        vouched for."""
        if self._views.seeks(peer) or self._is_asked_about_us(peer):
            self._compare_with((peer,), answer=True)

    def _compare_with(self, peers: Iterable[str], answer: bool) -> None:
        for peer in peers:
            self._step.tell(peer, self.compare(peer, answer))

    def compare(self, peer: str, answer: bool) -> Compare:
        """The comparison for one peer: what this node has, by slot groups."""
        parts, suspect = self._keyspace.parts, self._row_repair.slots
        held = [(p.slots & ~suspect, p) for p in parts if p.slots & ~suspect]
        content = self._content_compare.content
        return Compare(
            self._views.node_id,
            [
                SlotSummary(
                    to_bytes(s), parts.visible_to_peers(p.clock), sorted(p.complete_for), content(p)
                )
                for s, p in held
            ],
            self._incarnations.copy(),
            self._closing.refused(),
            list(self._repair.closed),
            answer,
            self._views.naming.name,
            replace(self._identity.mark, node_id=""),
            self._identity.generation_of(peer),
        )

    def _is_asked_about_us(self, peer: str) -> bool:
        """Whether the peer is to say if it sees a fault in this run's disk (D1)."""
        return not self._views.is_vouched_for and peer in self._views.introducers

    # ---- 2: take note of what a peer has
    def on_compare(self, source: str, compare: Compare) -> None:
        """Note what a peer has, and do what follows from it."""
        if not self._identity.lives_on(source, compare.incarnations):
            return
        self._gossip.merge_incarnations(compare.incarnations)
        keyspace, oldest_view = self._keyspace, self._views.history.oldest_view
        row = progress_of(compare, oldest_view)
        mark = replace(compare.mark, node_id=compare.node_id)
        is_current = self._incarnations.current(source) == compare.node_id
        if not is_current or not self._identity.accepts(source, mark, row):
            return
        self._gossip.hear_of_us(source, compare.incarnations, compare.name)
        is_introducer = source in self._views.introducers
        if is_introducer and compare.heard == self._identity.mark.generation:
            self._views.become_vouched_for()
        if not self._repair.note_progress(source, row, keyspace.parts, oldest_view, self._step.now):
            return
        if not any(row.has_for(part) for part in keyspace.parts.owned()):
            self._bootstrap.is_level(source)
        if self._bootstrap.arrived and self._views.history.settled:
            self._closing.close()
        self._closing.take_minima()
        self._content_compare.on_compare(source, compare)
        if compare.answer:
            self._compare_with((source,), answer=False)
        self._bootstrap.genesis()
        self._leaving.move_on()
        self.pull()

    # ---- 3: ask for what is missing
    def pull(self) -> None:
        """Ask for the next page of what this node lacks, if one is due."""
        parts, now = self._keyspace.parts, self._step.now
        if not self._repair.may_pull(parts):
            return
        grace_s = GRACE_S if self._bootstrap.caught_up else 0.0
        node_id = self._views.node_id
        if pull := self._repair.next_pull(node_id, parts, self.able(), grace_s, now):
            self._step.ask(pull[0], self._with_content(pull[1]))

    def _with_content(self, pull: Pull) -> Pull:
        """The pull with our content hashes, so that equal rows are not sent.  A full exchange goes
        without, because it looks at every row."""
        is_full, hashes = pull.after is not None, self._keyspace.content_hashes
        return pull if is_full else replace(pull, content=hashes.of(from_bytes(pull.slots)))

    # ---- 4: the holder serves a page
    def on_pull(self, source: str, pull: Pull) -> None:
        """Send a page to the present incarnation of a peer.  This node has forgotten the progress
        of an earlier one before it takes the snapshot (D7)."""
        if self._incarnations.current(source) != pull.node_id:
            return
        page = serve(self._keyspace, pull, self._options)
        if page is not None:
            self._step.tell(source, page)

    # ---- 5: merge it, and go on
    def on_page(self, source: str, page: Page) -> None:
        """Merge a page that this node asked for; content compare takes the other pages."""
        if not self._repair.expects(source, page):
            self._content_compare.on_page(source, page)
            return
        keyspace, exchange, now = self._keyspace, self._repair.exchange, self._step.now
        assert exchange is not None, "it expects a page"
        is_whole = take_in(keyspace, exchange.pieces, source, page, now)
        busy = now - self._step.served < BUSY_S
        if not self._repair.on_page(page, keyspace.parts, busy, now, is_whole):
            self.pull()
            return
        self._bootstrap.is_level(source)
        if not self._views.history.settled:
            self.compare_with_all()
        self._leaving.move_on()
        self.pull()

    @property
    def next_page(self) -> float:
        """The time at which the exchange under way goes on after a rest, or a damaged row is asked
        for."""
        exchange, healing_at = self._repair.exchange, self._row_repair.next_tick
        if exchange is None or exchange.rest_until is None:
            return healing_at
        return min(exchange.rest_until, healing_at)

    # ---- with whom
    def able(self) -> list[str]:
        """The peers whose links have been up for a moment; a node that recovers does not wait for
        that."""
        now, is_calm = self._step.now, self._bootstrap.is_over and self._views.history.settled
        rest = pace_of(self._views.view).rest_s if is_calm else 0.0
        return [
            peer
            for peer in self._views.peers()
            if self._detector.reachable(peer, now) and now - self._detector.up_since(peer) >= rest
        ]

    def is_passing_over(self) -> bool:
        """Whether a shard peer with a link is left out now, because it has just come or is slow."""
        able, up_since = self.able(), self._detector.up_since
        return any(up_since(f) < NEVER and f not in able for f in self._repair.shard_peers)
