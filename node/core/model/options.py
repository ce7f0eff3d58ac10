"""What a replica is told when it starts, beside its rows."""

from dataclasses import dataclass

import msgspec

from node.core.model.token import EXACT_MAX
from node.core.model.view import View

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Periods and bounds of a replica.  The first three are settings of a node.  The others are the
    same at every node; a test or a simulated run makes them small to reach what lies behind them.
    """

    cache_bytes_max: int = 64 * MIB
    repair_every_s: float = 3.0
    hold_s: float = 0.0  # how long writes that come before their past are not shown

    message_bytes_max: int = MIB  # an item of more travels in pieces
    siblings_max: int = 100  # a write that would give its key more of them is refused
    siblings_bytes_max: int = 32 * MIB  # so is one that would give it more bytes of them
    exact_dots_max: int = EXACT_MAX  # of a token that the replica stores, or gives to a client
    held_keys_max: int = 500  # with one more, the node shows what it has held longest
    accepts_remembered_max: int = 10_000  # writes that a home does not name a second time

    # ---- the log dot -> key
    log_entries_max: int = 1_000_000  # beyond it the oldest go; repair falls back to full exchanges
    log_dropped_at_once_max: int = 600  # entries; a few milliseconds
    log_outside_max: int = 10_000  # dots of which only the slots are known that they are not of
    log_page_rows: int = 5_000  # read at once when the log is loaded

    # ---- for watches
    log_recent_max: int = 8192  # dropped entries of the log that are still at hand
    replaced_bytes_max: int = 4 * MIB  # of replaced versions, while some watch asks for them
    gone_marks_max: int = 4096  # deletes that have left no row
    changes_max: int = 4096  # that one question of a watch may bring; with more it cannot go on
    changes_bytes_max: int = 4 * MIB  # of them

    # ---- writes kept for owners that cannot be reached, for each of them
    hints_max: int = 10_000  # with one more the write is left to repair
    hint_bytes_max: int = 64 * MIB
    hints_at_once: int = 32  # handed over and not taken yet, over all owners
    hints_beside_clients: int = 4  # as many while this node works for clients

    # ---- a page of an exchange
    page_items: int = 64  # to be merged
    page_rows: int = 256  # most of which are taken as they lie
    page_bytes_max: int = 512 * 1024
    page_dots_max: int = 4096

    # ---- damaged rows
    scrub_rows_at_once: int = 100  # a million rows in three hours
    scrub_bytes_at_once: int = MIB
    scrub_slot_rows_max: int = 100_000  # a slot with more is judged by checksums alone
    judged_dots_max: int = 4096  # a peer that lacks more of what we have does not help yet


class Start(msgspec.Struct, frozen=True):
    """What a node whose disk knows no view begins with; `join`: it asks to be added to the view
    of the others."""

    view: View
    join: bool = False
