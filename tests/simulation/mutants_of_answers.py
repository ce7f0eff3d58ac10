"""Rules of what is told, each broken in one place: pages, rows, tokens, contexts.

Each break comes from a failure seen in the field or in a model.  Two need more chance than a few
runs have, and are shown by directed stories.  (protocol D14; reliability D9.)
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from node.core import exchange, judging, keyspace, upkeep, weighing
from node.core.answering import Answers
from node.core.clock import Dot, Vector
from node.core.home import Home
from node.core.hybrid import Stamp
from node.core.judging import Need
from node.core.keyspace import Keyspace, Written
from node.core.mending import Finding, Mending, Tells
from node.core.messages import Page, Replicate
from node.core.moving import Moving
from node.core.parts import Parts, from_bytes
from node.core.reached import Reached
from node.core.repair import Repair
from node.core.siblings import Item, Past, Version
from node.core.token import Token
from node.core.turn import Numbers
from node.core.walk import key_of
from node.core.weighing import Weighing
from tests.simulation.breaks import Breaks

OF_ANSWERS = Breaks()


# ------------------------------------------------------------------ repair


@OF_ANSWERS.shown_by()
def compare_the_hashes_of_what_is_open() -> Iterator[None]:
    """Delete marks end at different times, and a past beyond the clock has removed versions: what a
    fellow still has is taken for something that was lost."""

    def is_closed(self: Weighing) -> bool:
        return self._keyspace.digests.is_whole

    with patch.object(Weighing, "_is_closed", is_closed), patch.object(weighing, "SURE_S", 0.0):
        yield


def _pages_are(changed: Callable[[Keyspace, Page], Page]) -> AbstractContextManager[object]:
    """Every page is changed so before it is merged."""
    original = exchange.absorb

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        original(space, changed(space, page), now)

    return patch.object(upkeep, "absorb", absorb)


@OF_ANSWERS.shown_by()
def pull_stripped_objects() -> Iterator[None]:
    """Items are merged without what their sender's clock says of them."""
    with _pages_are(lambda space, page: replace(page, base=Past())):
        yield


@OF_ANSWERS.shown_by()
def strip_with_the_senders_clock() -> Iterator[None]:
    """Stripped by one clock, filled by another."""
    with _pages_are(lambda space, page: replace(page, base=Past(dict(space.clock.base)))):
        yield


@OF_ANSWERS.shown_by("slow links", page_items=1)
def fill_every_page_with_the_first_snapshot() -> Iterator[None]:
    """What came to the sender between two pages has stripped the items of the later ones."""
    with _pages_are(lambda space, page: replace(page, base=Past(page.snapshot.base))):
        yield


@OF_ANSWERS.shown_by()
def join_the_clock_with_the_first_page() -> Iterator[None]:
    """Of a full exchange, the rest is then believed to be here."""
    original = exchange.absorb

    def absorb(space: Keyspace, page: Page, now: float) -> None:
        original(space, page, now)
        if page.full:
            space.join(from_bytes(page.slots), page.snapshot, ())

    with patch.object(upkeep, "absorb", absorb):
        yield


@contextmanager
def leave_absent_keys_out_of_a_full_exchange() -> Iterator[None]:
    """A delete that nobody remembers does not travel."""
    original = exchange._rows_between

    def between(space: Keyspace, page: Page) -> dict[str, bytes]:
        mine = original(space, page).items()
        return {row: blob for row, blob in mine if row in page.rows or key_of(row) in page.items}

    with patch.object(exchange, "_rows_between", between):
        yield


@OF_ANSWERS.shown_by()
def prune_at_a_majority() -> Iterator[None]:
    """What most members have is taken for what all have."""

    def low(self: Repair, parts: Parts) -> Vector:
        rows = [clock.base for clock in self._clocks(parts)]
        middle = (len(rows) - 1) // 2
        actors = {actor for row in rows for actor in row}
        return {
            actor: sorted((row.get(actor, 0) for row in rows), reverse=True)[middle]
            for actor in sorted(actors)
        }

    with patch.object(Repair, "low", low):
        yield


@OF_ANSWERS.shown_by("slow disk")
def mend_before_the_disk_has_it() -> Iterator[None]:
    """What a read has found here is passed on at once."""

    def mend(self: Answers, tells: Tells) -> None:
        for owner, message in tells:
            self._turn.ask(owner, message)

    with patch.object(Answers, "_mend", mend):
        yield


@OF_ANSWERS.shown_by()
def mend_without_the_past() -> Iterator[None]:
    """What a read has found is passed on without what it has replaced."""
    original = Mending._told

    def told(self: Mending, found: Finding) -> Tells:
        tells = original(self, found)
        bare = Item(found.item.versions, Past())
        return [(owner, replace(message, item=bare)) for owner, message in tells]

    with patch.object(Mending, "_told", told):
        yield


@OF_ANSWERS.shown_by(page_items=8)
def keep_nothing_of_what_a_full_exchange_has_reached() -> Iterator[None]:
    """What its rows have replaced is said by a clock that comes at the end."""
    with patch.object(Reached, "past_of", lambda self, row: Past()):
        yield


@OF_ANSWERS.shown_by(page_items=8)
def keep_what_a_full_exchange_has_reached_in_memory_alone() -> Iterator[None]:
    """The rows are on the disk."""
    original = Reached.__init__

    def begin(self: Reached, *rest: Any) -> None:
        original(self, *rest)
        self._reaches = []

    with patch.object(Reached, "__init__", begin):
        yield


@OF_ANSWERS.shown_by("late")
def number_questions_anew_in_each_run() -> Iterator[None]:
    """A late answer is then to another question."""

    def following(self: Numbers, now: float) -> int:
        self._last += 1
        return self._last

    with patch.object(Numbers, "next", following):
        yield


@OF_ANSWERS.shown_by("wipe")
def answer_at_once_after_a_wipe() -> Iterator[None]:
    """An empty disk is taken for an empty shard."""
    original = Moving._begin

    def begin(self: Moving) -> None:
        original(self)
        self._keyspace.parts.claim(self.view.id)

    with patch.object(Moving, "_begin", begin):
        yield


@contextmanager
def take_messages_of_lives_that_ended() -> Iterator[None]:
    """Gaps were closed behind a fence that is not there."""

    def on_replicate(self: Home, source: str, message: Replicate) -> None:
        ended, self._moving.ended = self._moving.ended, {}
        original(self, source, message)
        self._moving.ended = ended

    original = Home.on_replicate
    with patch.object(Home, "on_replicate", on_replicate):
        yield


@OF_ANSWERS.shown_by(deletes=0.1)
def erase_delete_marks_at_once() -> Iterator[None]:
    """The absence that a reader sees is then explained by nothing."""

    def is_done(self: Keyspace, dot: Dot, mark: Version) -> bool:
        return self.clock.has(dot)

    with patch.object(Keyspace, "_is_done", is_done):
        yield


# ------------------------------------------------------------------ tokens and contexts


@OF_ANSWERS.shown_by()
def answer_a_write_with_the_whole_clock() -> Iterator[None]:
    """The context then claims siblings that the client has never seen."""
    original = Keyspace.write

    def write(self: Keyspace, *rest: Any) -> Written:
        return original(self, *rest)._replace(context=Past(dict(self.clock.base)))

    with patch.object(Keyspace, "write", write):
        yield


@OF_ANSWERS.shown_by()
def store_no_dependencies() -> Iterator[None]:
    """Whoever reads the write does not learn what its writer had seen."""
    with patch.object(Keyspace, "stored_deps", lambda self, token: Token()):
        yield


@OF_ANSWERS.shown_by()
def hand_out_no_dependencies() -> Iterator[None]:
    """They are stored, and not told."""
    original = judging.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        bare = {
            dot: Version(version.value, Token(), version.stamp, version.lww)
            for dot, version in item.versions.items()
        }
        return original(token, need, Item(bare, item.past))

    with patch.object(judging, "token_after_read", forgetful):
        yield


@OF_ANSWERS.shown_by(deletes=0.1)
def leave_deletes_out_of_the_token() -> Iterator[None]:
    """Only what is shown counts as seen."""
    original = judging.token_after_read

    def forgetful(token: Token, need: Need, item: Item) -> Token:
        return original(token, need, Item(item.live(), item.past))

    with patch.object(judging, "token_after_read", forgetful):
        yield


@OF_ANSWERS.shown_by()
def leave_its_own_dot_out_of_a_writes_token() -> Iterator[None]:
    """A client does not depend on what it has just written."""
    original = Token.after_write

    def after_write(self: Token, digest: int, dot: Dot, stamp: Stamp, replaced: Vector) -> Token:
        token = original(self, digest, dot, stamp, replaced)
        del token.exact[dot]
        return token

    with patch.object(Token, "after_write", after_write):
        yield


@OF_ANSWERS.shown_by()
def ignore_the_token_on_reads() -> Iterator[None]:
    """Whatever is here is shown."""
    with patch.object(Need, "of", lambda self, token, scope, past, clock: {}):
        yield


@OF_ANSWERS.shown_by()
def ignore_the_floors_of_a_token() -> Iterator[None]:
    """Only exact dots are waited for."""
    original = Need.of

    def of(self: Need, token: Token, *rest: Any) -> judging.Missing:
        return original(self, Token({}, token.exact, b"", token.stamp), *rest)

    with patch.object(Need, "of", of):
        yield


@OF_ANSWERS.shown_by()
def replace_what_the_client_has_not_seen() -> Iterator[None]:
    """A write with a context discards all that its home holds."""
    with patch.object(keyspace, "discard", lambda item, context: Item({}, item.past)):
        yield
