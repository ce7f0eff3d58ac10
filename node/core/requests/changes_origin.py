"""What has changed in some slots since a clock, at the node whose client watches.

    begin           ask a holder of these slots for its first page; this node's own store, too
    on_change_page  the page comes; ask the same holder for the next one, or another holder for the
                    slots that no store was whole for, or answer
    tick            time passes: ask another holder, begin again, give up

The origin needs each slot from stores that are whole for the current view and for each that led to
it, as a read does (D10 R5).  It asks one holder after the other until it has that; while slots
move, this may take two.  So an answer has every write that all owners had when it was asked for.
A watch relies on that when it puts causes before effects.

A watch asks the same holder each time, if that can be reached: another one may lack, for a moment,
what the first one has told.
"""

import msgspec
from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.dots import Dot, DotClock
from node.core.model.item import Item, Past, Version, sync
from node.core.model.keys import slot_of
from node.core.model.options import Options
from node.core.model.slots import ALL, Slots, each_of, from_bytes, to_bytes
from node.core.model.token import Token
from node.core.model.view import ViewId
from node.core.protocol.messages import Epoch
from node.core.protocol.operations import Outcome, Unavailable
from node.core.protocol.watching import (
    Cause,
    ChangePage,
    ChangesListed,
    FetchChanges,
    KeyChange,
    ListChanges,
    Untraceable,
)
from node.core.requests.changes import ChangeHolder
from node.core.requests.reading import ASK_AGAIN_S

PATIENCE_S = 0.5  # for the next page of a holder
CHANGE_BYTES = 200  # of a change, beside what it holds
NO_LONGER_KNOWN = "deletes may have left no trace since then"
TOO_MANY = "too much has changed since then"
NOTHING = Token()


class Question(msgspec.Struct):
    """What a holder was asked last.  `clock` says up to where its rows have been looked at."""

    holder: str
    turn: int
    slots: Slots
    known: DotClock | None
    asked: float
    next_key: str = ""
    clock: DotClock | None = None


class ReadSlots(msgspec.Struct, frozen=True):
    """Slots of which one holder has told all changes up to a clock."""

    slots: Slots
    clock: DotClock
    complete_for: tuple[ViewId, ...]


class Told(msgspec.Struct):
    """What the pages so far have told."""

    read: list[ReadSlots] = msgspec.field(default_factory=list)
    dots: dict[Dot, str] = msgspec.field(default_factory=dict)
    items: dict[str, Item] = msgspec.field(default_factory=dict)
    replaced: dict[Dot, Version] = msgspec.field(default_factory=dict)
    sizes: dict[Dot, int] = msgspec.field(default_factory=dict)
    bytes: int = 0

    def add(self, page: ChangePage) -> None:
        """Take what a page tells.  Its items have been stripped by its clock."""
        base = Past(page.clock.base, set(), page.clock.oldest_view)
        for key, item in page.items.items():
            filled = Item(item.versions, item.past.with_all(base))
            known = self.items.get(key)
            self.items[key] = sync(known, filled) if known else filled
            self.bytes += len(key) + sum(version.size for version in item.versions.values())
        self.bytes += sum(version.size for version in page.replaced.values())
        self.bytes += CHANGE_BYTES * len(page.dots)
        self.dots.update(page.dots)
        self.replaced.update(page.replaced)
        self.sizes.update(page.sizes)


class Tracking(msgspec.Struct):
    """One request under way."""

    wanted: ListChanges
    epoch: Epoch
    begun: float  # for the last time
    heard: float  # when it began at first, or a page has come
    turns: int = 0
    question: Question | None = None
    answered: dict[str, Slots] = msgspec.field(default_factory=dict)
    told: Told = msgspec.field(default_factory=Told)
    untraceable: str = ""

    def begin_again(self, epoch: Epoch, now: float) -> None:
        """Forget what was told: it was of another view, or not enough."""
        self.epoch, self.begun, self.question, self.told = epoch, now, None, Told()
        self.answered.clear()

    def pass_over(self, holder: str, slots: Slots) -> None:
        """Ask this holder for these slots no more."""
        self.answered[holder] = self.answered.get(holder, 0) | slots
        self.question = None

    def take(self, question: Question, page: ChangePage) -> None:
        """Take a page of the holder that was asked; it may have more to tell."""
        slots = from_bytes(page.slots) if page.slots else 0
        if page.scanned and self.wanted.age_s > page.kept_s:
            self.untraceable = NO_LONGER_KNOWN
            self.pass_over(question.holder, slots)
        elif not slots:
            self.pass_over(question.holder, question.slots)
        else:
            self.told.add(page)
            if page.scanned:
                question.clock = question.clock or page.clock
            if page.has_more:
                question.slots, question.next_key = slots, page.next_key
                question.known = page.upto or question.known
                return
            whole = ReadSlots(slots, question.clock or page.clock, page.complete_for)
            self.told.read.append(whole)
            self.pass_over(question.holder, slots)


class ChangesOrigin:
    """The questions of this node's watches; `under_way`: those that wait.  `holder`: this node's
    own side of one."""

    def __init__(self, services: Services, options: Options) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._detector, self._options = services.detector, options
        self.holder = ChangeHolder(services, options)
        self.under_way = self._trackings = dict[int, Tracking]()

    def begin(self, request: int, wanted: ListChanges) -> None:
        now = self._step.now
        self._trackings[request] = Tracking(wanted, self._views.epoch, now, now)
        self._go_on(request)

    def on_change_page(self, source: str, page: ChangePage) -> None:
        tracking = self._trackings.get(page.request)
        question = tracking.question if tracking is not None else None
        if tracking is None or question is None or tracking.epoch != self._views.epoch:
            return
        if (source, page.turn) == (question.holder, question.turn):
            tracking.heard = self._step.now
            tracking.take(question, page)
            if tracking.question is not None and self._is_within_bounds(tracking.told):
                self._ask(page.request, tracking, question)
            self._go_on(page.request)

    def tick(self) -> None:
        now, address = self._step.now, self._views.address
        for request, tracking in list(self._trackings.items()):
            question = tracking.question
            if tracking.epoch != self._views.epoch:
                tracking.begin_again(self._views.epoch, now)
            elif question is not None and question.holder == address:
                self._take_ours(request, tracking, question)
            elif question is not None and now - question.asked >= PATIENCE_S:
                tracking.pass_over(question.holder, ALL)
            elif question is None and now - tracking.begun >= ASK_AGAIN_S:
                tracking.begin_again(tracking.epoch, now)
            self._go_on(request)
            if request in self._trackings and now - tracking.heard >= tracking.wanted.timeout_s:
                self._answer(request, self._unavailable(tracking))

    # ------------------------------------------------------------------ the holders
    def _go_on(self, request: int) -> None:
        """Answer, or ask one more holder unless one has yet to answer."""
        tracking = self._trackings[request]
        while (outcome := self._outcome(tracking)) is None and tracking.question is None:
            if not self._ask_next(request, tracking):
                if tracking.untraceable:
                    self._answer(request, Untraceable(tracking.untraceable))
                return
        if outcome is not None:
            self._answer(request, outcome)

    def _answer(self, request: int, outcome: Outcome) -> None:
        del self._trackings[request]
        self._step.reply(request, outcome)

    def _ask_next(self, request: int, tracking: Tracking) -> bool:
        """Ask a node that can be reached and may hold slots that are not whole yet; whether there
        is one."""
        tried: set[tuple[str, ...]] = set()
        lacking = self._lacking(tracking)
        for slot in each_of(lacking):
            holders = self._holders(tracking.wanted.turn, slot)
            if holders in tried:
                continue
            tried.add(holders)
            for holder in holders:
                slots = lacking & ~tracking.answered.get(holder, 0)
                if slots >> slot & 1 and self._detector.reachable(holder, self._step.now):
                    known, now = tracking.wanted.clock, self._step.now
                    self._ask(request, tracking, Question(holder, 0, slots, known, now))
                    return True
        return False

    def _holders(self, turn: int, slot: int) -> tuple[str, ...]:
        """The nodes that may hold a slot, in the order in which a watch asks them."""
        owners = self._views.view.asked_by(self._views.address, slot, turn)
        return tuple(dict.fromkeys((*owners, *self._views.history.owners(slot))))

    def _ask(self, request: int, tracking: Tracking, question: Question) -> None:
        """Ask a holder for its next page; our own store is looked at once in a step."""
        tracking.turns += 1
        is_first = tracking.question is None
        question.turn, question.asked, tracking.question = tracking.turns, self._step.now, question
        if question.holder != self._views.address:
            self._step.ask(question.holder, self._fetch(request, tracking, question))
        elif is_first:
            self._take_ours(request, tracking, question)

    def _take_ours(self, request: int, tracking: Tracking, question: Question) -> None:
        tracking.heard = self._step.now
        tracking.take(question, self.holder.page(self._fetch(request, tracking, question)))

    def _fetch(self, request: int, tracking: Tracking, question: Question) -> FetchChanges:
        wanted, slots = tracking.wanted, to_bytes(question.slots)
        return FetchChanges(
            request,
            question.turn,
            slots,
            wanted.start,
            wanted.end,
            question.known,
            question.next_key,
        )

    def _lacking(self, tracking: Tracking) -> Slots:
        """The slots that no store was whole for yet, for each view that counts."""
        lacking = 0
        for view in self._views.history.need():
            left = tracking.wanted.slots
            for read in tracking.told.read:
                if view in read.complete_for:
                    left &= ~read.slots
            lacking |= left
        return lacking

    # ------------------------------------------------------------------ the answer
    def _is_within_bounds(self, told: Told) -> bool:
        options = self._options
        return len(told.dots) <= options.changes_max and told.bytes <= options.changes_bytes_max

    def _outcome(self, tracking: Tracking) -> Outcome | None:
        """What has changed, by the pages that have come; None while they are not enough."""
        told = tracking.told
        if not self._is_within_bounds(told):
            return Untraceable(TOO_MANY)
        if tracking.question is not None or self._lacking(tracking):
            return None
        changes = [self._change(told, dot, key) for dot, key in told.dots.items()]
        items = {key: _bare(item) for key, item in told.items.items()}
        read = [(read.slots & tracking.wanted.slots, read.clock) for read in told.read]
        return ChangesListed(read, changes, items, told.sizes)

    def _change(self, told: Told, dot: Dot, key: str) -> KeyChange:
        """A write as a watch tells it."""
        version = told.items[key].versions.get(dot) or told.replaced.get(dot)
        if version is None:
            return KeyChange(dot, key, None)
        return KeyChange(dot, key, replace(version, deps=NOTHING), self._causes(version.deps))

    def _causes(self, deps: Token) -> tuple[Cause, ...]:
        deps = self._keyspace.runs.spelled(deps)
        exact = [Cause(a, n, 1 << slot_of(tag)) for (a, n), tag in deps.exact.items()]
        floors = []
        for actor, n in deps.floor.items():
            slots = self._views.slots_of_actor(actor)
            floors.append(Cause(actor, n, ALL if slots is None else slots, is_floor=True))
        return (*exact, *floors)

    def _unavailable(self, tracking: Tracking) -> Unavailable:
        first = each_of(self._lacking(tracking) or tracking.wanted.slots)[0]
        reason = f"no node that was reached has all of slot {first}"
        return Unavailable(reason, definite=True, nodes=tuple(tracking.answered))


def _bare(item: Item) -> Item:
    """The item without what its versions depend on."""
    versions = {d: replace(version, deps=NOTHING) for d, version in item.versions.items()}
    return Item(versions, item.past)
