"""The list of all keys, page by page, without I/O.

A page that lacks a shard may be whole at another node, so the list asks on until its time is over.
Then it ends with `Incomplete`, or goes on with what there is, if the program wants it so.
"""

from dataclasses import dataclass, field
from functools import partial

from coterie.answers import document_in, unexpected
from coterie.calls import Call, pairs
from coterie.errors import Incomplete
from coterie.session_core import SessionCore
from coterie.steps import Answer, Emit, Steps, Stream
from coterie.values import Group

PAGE_KEYS_MAX = 1000
IS_THERE = 200


@dataclass(slots=True)
class Listing:
    """What is listed, and which shards have not answered so far."""

    prefix: str
    after: str
    page_keys: int
    is_partial: bool
    timeout_s: float
    delimiter: str | None = None
    counts: bool = False
    unanswered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not 1 <= self.page_keys <= PAGE_KEYS_MAX:
            words = f"page_keys is {self.page_keys}; expected a number from 1 to {PAGE_KEYS_MAX}"
            raise ValueError(words)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its entries in their order, and the `after` of the next one."""

    entries: list[Group]
    next: str | None
    unanswered: list[str]


def keys(core: SessionCore, listing: Listing) -> Stream[str]:
    """Give all keys in their order."""
    after: str | None = listing.after
    while after is not None:
        page = yield from _page(core, listing, after)
        for entry in page.entries:
            yield Emit(entry.name)
        after = page.next


def groups(core: SessionCore, listing: Listing) -> Stream[Group]:
    """Give all groups, and the keys that are in none; a group may begin on one page and end on
    another."""
    after: str | None = listing.after
    last: Group | None = None
    while after is not None:
        page = yield from _page(core, listing, after)
        for entry in page.entries:
            if last is not None and not last.is_key and last.name == entry.name:
                last = last.joined(entry)
                continue
            if last is not None:
                yield Emit(last)
            last = entry
        after = page.next
    if last is not None:
        yield Emit(last)


def _page(core: SessionCore, listing: Listing, after: str) -> Steps[Page]:
    """Return one page; its time begins when the program asks for it."""
    deadline = core.world.clock() + listing.timeout_s
    page = yield from core.talk(_call(listing, after), deadline)
    listing.unanswered.update(page.unanswered)
    return page


def _call(listing: Listing, after: str) -> Call[Page]:
    query = {
        "prefix": listing.prefix or None,
        "after": after or None,
        "limit": listing.page_keys,
        "delimiter": listing.delimiter,
        "counts": "true" if listing.counts else None,
    }
    call = Call(method="GET", key="", query=pairs(query), headers=(), read=_read, place="/v1/keys")
    return call if listing.is_partial else call.lacking(partial(_lack_in, listing.prefix))


def _read(answer: Answer) -> Page:
    said = document_in(answer)
    try:
        found = [Group(str(key), 1, is_key=True) for key in said["keys"]]
        found += [_group(str(each["prefix"]), each.get("count")) for each in said.get("groups", ())]
        unanswered = [str(shard) for shard in said.get("unanswered", ())]
        return Page(sorted(found, key=lambda each: each.name), said["next"], unanswered)
    except (KeyError, TypeError, AttributeError) as error:
        raise unexpected(answer, f"this is no list of keys: {error!r}") from error


def _group(name: str, count: int | None) -> Group:
    return Group(name, count, is_key=False)


def _lack_in(prefix: str, answer: Answer) -> Incomplete | None:
    """Return the error of a page that lacks shards."""
    page = _read(answer) if answer.status == IS_THERE else None
    if page is None or not page.unanswered:
        return None
    shards = ", ".join(page.unanswered)
    words = f"not all keys with the prefix {prefix!r} are known: no node of {shards} answered"
    return Incomplete(words, page.unanswered)
