"""Items of more than one message, and full keys: small bounds, drawn apart from everything else.

Their stream of draws is their own, so a seed draws the same sessions and the same faults with them
as without.  In these runs items of a few short values travel in pieces, by every way that items
travel.  A node refuses a client's write that would give its key too many siblings.
"""

from dataclasses import replace
from random import Random

from node.core.model.item import Item
from node.core.model.options import Options
from node.core.protocol.messages import Envelope, ItemPage, ReadRepair, Replicate, RowPage, State
from node.core.protocol.pieces import bytes_of
from node.core.storage.keyspace import ITEMS

SHARE = 0.5  # of the seeds whose bounds are small
MESSAGE_BYTES = (1, 1, 50, 300)
SIBLINGS = (100, 100, 100, 5, 2)
SIBLINGS_BYTES = (1_000_000, 1_000_000, 300)


def sized(options: Options, seed: int) -> Options:
    """Return the options of a run, with the bounds that this seed draws."""
    random = Random(f"sizes {seed}")
    if random.random() >= SHARE:
        return options
    return replace(
        options,
        message_bytes_max=random.choice(MESSAGE_BYTES),
        siblings_max=random.choice(SIBLINGS),
        siblings_bytes_max=random.choice(SIBLINGS_BYTES),
    )


def is_too_large(envelope: Envelope, bytes_max: int) -> bool:
    """Whether a message has several versions with more bytes than it may have."""
    items = _items_of(envelope)
    if not items:
        return False
    versions = [version for item in items for version in item.versions.values()]
    return len(versions) > 1 and bytes_of(versions) > bytes_max


def is_a_piece(envelope: Envelope) -> bool:
    """Whether a message has some versions of an item, and only the names of the others."""
    return bool(getattr(envelope.message, "rest", ()))


def _items_of(envelope: Envelope) -> list[Item]:
    match envelope.message:
        case Replicate(item=item) | State(item=item) | ReadRepair(item=item):
            return [item]
        case ItemPage(items=items):
            return list(items.values())
        case RowPage(items=items, rows=rows):
            return [*items.values(), *map(ITEMS.decode, rows.values())]
        case _:
            return []
