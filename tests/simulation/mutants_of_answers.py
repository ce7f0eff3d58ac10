"""Rules of what nodes tell, each broken in one place: pages, rows, tokens, contexts.

Each break comes from a failure seen in the field or in a model.  Some need more luck than a few
runs have, and directed stories show them.  (protocol D14; reliability D9.)
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from node.core.integrity import content_compare
from node.core.integrity.content_compare import ContentCompare
from node.core.membership.known_views import KnownViews
from node.core.model.dots import Dot, DotClock, Vector
from node.core.model.hlc import Timestamp
from node.core.model.item import Item, Past, Version
from node.core.model.keys import key_of
from node.core.model.slots import from_bytes
from node.core.model.token import Token
from node.core.protocol.messages import ItemPage, Page, Replicate, RowPage, SamePage
from node.core.protocol.operations import Get
from node.core.protocol.step import Numbers
from node.core.replication import sync_pages
from node.core.replication.pull import Repair
from node.core.requests import read_answer
from node.core.requests.coverage import Missing, Need
from node.core.requests.read_origin import ReadOrigin
from node.core.requests.read_repair import AnsweredRead, ReadRepairs, Tells
from node.core.requests.write_replica import WriteReplica
from node.core.storage import keyspace
from node.core.storage.delete_marks import DeleteMarks
from node.core.storage.keyspace import Keyspace
from node.core.storage.named_write import NamedWrite
from node.core.storage.slot_groups import Parts
from node.core.storage.transfer_progress import TransferProgress
from tests.simulation.breaks import Breaks

OF_ANSWERS = Breaks()


# ------------------------------------------------------------------ repair


@OF_ANSWERS.shown_by()
def compare_the_hashes_of_what_is_open() -> Iterator[None]:
    """Nodes take a difference in open items for lost rows.

    Delete marks end at different times, and a past beyond the clock has removed versions that a
    shard peer still has.
    """

    def is_closed(self: ContentCompare) -> bool:
        return self._keyspace.content_hashes.is_whole

    with (
        patch.object(ContentCompare, "_is_closed", is_closed),
        patch.object(content_compare, "SURE_S", 0.0),
    ):
        yield


def _pages_are(
    changed: Callable[[Keyspace, ItemPage | RowPage], Page],
) -> AbstractContextManager[object]:
    """Change every page with items in this way before it is merged."""
    original = sync_pages.absorb

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        original(space, page if isinstance(page, SamePage) else changed(space, page), now)

    return patch.object(sync_pages, "absorb", absorb)


@OF_ANSWERS.shown_by()
def pull_stripped_objects() -> Iterator[None]:
    """A node merges items without what their sender's clock says of them."""
    with _pages_are(lambda space, page: replace(page, base=Past())):
        yield


@OF_ANSWERS.shown_by()
def strip_with_the_senders_clock() -> Iterator[None]:
    """A node strips items by one clock, and the other fills them by another."""
    with _pages_are(lambda space, page: replace(page, base=Past(dict(space.clock.base)))):
        yield


@OF_ANSWERS.shown_by("slow links", page_items=1)
def fill_every_page_with_the_first_snapshot() -> Iterator[None]:
    """What came to the sender between two pages has stripped the items of the later ones."""
    with _pages_are(lambda space, page: replace(page, base=Past(page.snapshot.base))):
        yield


@OF_ANSWERS.shown_by()
def join_the_clock_with_the_first_page() -> Iterator[None]:
    """The puller then believes that the rest of a full exchange is here, too."""
    original = sync_pages.absorb

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        original(space, page, now)
        if isinstance(page, RowPage):
            space.join(from_bytes(page.slots), page.snapshot, ())

    with patch.object(sync_pages, "absorb", absorb):
        yield


@contextmanager
def leave_absent_keys_out_of_a_full_exchange() -> Iterator[None]:
    """A delete of which no row is left does not travel."""
    original = sync_pages._rows_between

    def between(space: Keyspace, page: RowPage) -> dict[str, bytes]:
        mine = original(space, page).items()
        return {row: blob for row, blob in mine if row in page.rows or key_of(row) in page.items}

    with patch.object(sync_pages, "_rows_between", between):
        yield


@OF_ANSWERS.shown_by()
def a_row_that_was_stripped_again_travels_as_it_lies() -> Iterator[None]:
    """A gap of the clock has closed since the snapshot by which the puller fills the row."""
    with patch.object(sync_pages, "_has_closed_gaps", lambda clock, snapshot: False):
        yield


@OF_ANSWERS.shown_by()
def prune_at_a_majority() -> Iterator[None]:
    """A node takes what most members have for what all have."""

    def shard_watermark(self: Repair, parts: Parts) -> Vector:
        rows = [clock.base for clock in self._clocks(parts)]
        middle = (len(rows) - 1) // 2
        actors = {actor for row in rows for actor in row}
        return {
            actor: sorted((row.get(actor, 0) for row in rows), reverse=True)[middle]
            for actor in sorted(actors)
        }

    with patch.object(Repair, "shard_watermark", shard_watermark):
        yield


@OF_ANSWERS.shown_by("slow disk")
def mend_before_the_disk_has_it() -> Iterator[None]:
    """A read passes its own state on before the disk has it."""

    def mend(self: ReadOrigin, tells: Tells) -> None:
        for owner, message in tells:
            self._step.ask(owner, message)

    with patch.object(ReadOrigin, "_repair", mend):
        yield


@OF_ANSWERS.shown_by()
def mend_without_the_past() -> Iterator[None]:
    """A read passes on what it has found without what that has replaced."""
    original = ReadRepairs._told

    def told(self: ReadRepairs, found: AnsweredRead) -> Tells:
        tells = original(self, found)
        bare = Item(found.item.versions, Past())
        return [(owner, replace(message, item=bare)) for owner, message in tells]

    with patch.object(ReadRepairs, "_told", told):
        yield


@OF_ANSWERS.shown_by(page_items=8)
def keep_nothing_of_what_a_full_exchange_has_reached() -> Iterator[None]:
    """A clock that comes at the end says what its rows have replaced."""
    with patch.object(TransferProgress, "past_of", lambda self, row: Past()):
        yield


@contextmanager
def keep_what_a_full_exchange_has_reached_in_memory_alone() -> Iterator[None]:
    """The rows are on the disk, and not what they have replaced.

    A story shows it: another peer must bring that after the crash.
    """
    original = TransferProgress.__init__

    def begin(self: TransferProgress, *rest: Any) -> None:
        original(self, *rest)
        self._transfers = []

    with patch.object(TransferProgress, "__init__", begin):
        yield


@OF_ANSWERS.shown_by("late")
def number_questions_anew_in_each_run() -> Iterator[None]:
    """A late answer is then taken for an answer to another question."""

    def following(self: Numbers, now: float) -> int:
        self._last += 1
        return self._last

    with patch.object(Numbers, "next", following):
        yield


@contextmanager
def answer_at_once_after_a_wipe() -> Iterator[None]:
    """A node takes an empty disk for an empty shard.  A story shows it."""
    original = KnownViews._begin

    def begin(self: KnownViews) -> None:
        original(self)
        self._keyspace.parts.become_complete_for(self.view.id)

    with patch.object(KnownViews, "_begin", begin):
        yield


@contextmanager
def take_messages_of_lives_that_ended() -> Iterator[None]:
    """Messages of an ended incarnation fill gaps that all have closed."""

    def on_replicate(self: WriteReplica, source: str, message: Replicate) -> None:
        ended, self._views.past_incarnations = self._views.past_incarnations, {}
        original(self, source, message)
        self._views.past_incarnations = ended

    original = WriteReplica.on_replicate
    with patch.object(WriteReplica, "on_replicate", on_replicate):
        yield


@OF_ANSWERS.shown_by(deletes=0.1)
def erase_delete_marks_at_once() -> Iterator[None]:
    """Nothing then explains the absence that a reader sees."""

    with patch.object(DeleteMarks, "_is_done", lambda self, dot, mark: True):
        yield


# ------------------------------------------------------------------ tokens and contexts


@OF_ANSWERS.shown_by()
def answer_a_write_with_the_whole_clock() -> Iterator[None]:
    """The context then claims siblings that the client has never seen."""
    original = Keyspace.write

    def write(self: Keyspace, *rest: Any) -> NamedWrite:
        return original(self, *rest)._replace(context=Past(dict(self.clock.base)))

    with patch.object(Keyspace, "write", write):
        yield


@OF_ANSWERS.shown_by()
def store_no_dependencies() -> Iterator[None]:
    """A reader of the write does not learn what its writer had seen."""
    with patch.object(Keyspace, "stored_deps", lambda self, token: Token()):
        yield


@OF_ANSWERS.shown_by()
def hand_out_no_dependencies() -> Iterator[None]:
    """A node stores the dependencies of a write, and does not tell readers."""
    original = read_answer.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        bare = {
            dot: Version(version.value, Token(), version.timestamp, version.lww)
            for dot, version in item.versions.items()
        }
        return original(token, need, Item(bare, item.past))

    with patch.object(read_answer, "token_after_read", forgetful):
        yield


@contextmanager
def leave_deletes_out_of_the_token() -> Iterator[None]:
    """Only what an answer shows counts as seen.  A story shows it."""
    original = read_answer.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        return original(token, need, Item(item.live(), item.past))

    with patch.object(read_answer, "token_after_read", forgetful):
        yield


@OF_ANSWERS.shown_by()
def leave_its_own_dot_out_of_a_writes_token() -> Iterator[None]:
    """A client does not depend on what it has just written."""
    original = Token.after_write

    def after_write(
        self: Token, digest: int, dot: Dot, stamp: Timestamp, replaced: Vector
    ) -> Token:
        token = original(self, digest, dot, stamp, replaced)
        del token.exact[dot]
        return token

    with patch.object(Token, "after_write", after_write):
        yield


@OF_ANSWERS.shown_by()
def ignore_the_token_on_reads() -> Iterator[None]:
    """A node shows whatever it has."""
    with patch.object(Need, "of", lambda self, token, scope, past, clock: {}):
        yield


@OF_ANSWERS.shown_by()
def ignore_the_floors_of_a_token() -> Iterator[None]:
    """A node waits for exact dots only."""
    original = Need.of

    def of(self: Need, token: Token, *rest: Any) -> Missing:
        return original(self, Token({}, token.exact, b"", token.timestamp), *rest)

    with patch.object(Need, "of", of):
        yield


@OF_ANSWERS.shown_by()
def replace_what_the_client_has_not_seen() -> Iterator[None]:
    """A write with a context discards all that its home holds."""
    with patch.object(keyspace, "discard", lambda item, context, **more: Item({}, item.past)):
        yield


@contextmanager
def show_siblings_without_their_own_past() -> Iterator[None]:
    """Only the reader's token matters, and not what the versions depend on within their key.

    A story shows it.
    """
    original = Need.to_show

    def to_show(self: Need, get: Get, item: Item, clock: DotClock) -> Missing:
        return original(self, get, Item({}, item.past), clock)

    with patch.object(Need, "to_show", to_show):
        yield
