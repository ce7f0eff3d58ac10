"""Bounds of the core that are drawn for a run: small ones show what lies behind them."""

from random import Random

import msgspec

from node.core.model.options import Options


class DrawnLimits(msgspec.Struct, frozen=True):
    """Bounds and periods of the core."""

    page_items: int
    log_entries: int
    exact_dots: int
    cache_bytes: int
    repair_every_s: float


def limits_of(random: Random) -> DrawnLimits:
    return DrawnLimits(
        page_items=random.choice((1, 3, 128)),
        log_entries=random.choice((20, 100, 1_000_000)),
        exact_dots=random.choice((2, 8, 32)),
        cache_bytes=random.choice((3_000, 64_000_000)),
        repair_every_s=random.choice((0.3, 1.0, 3.0)),
    )


def options_of(limits: DrawnLimits, hold_s: float) -> Options:
    """The options of the nodes of a run."""
    return Options(
        cache_bytes_max=limits.cache_bytes,
        repair_every_s=limits.repair_every_s,
        hold_s=hold_s,
        exact_dots_max=limits.exact_dots,
        log_entries_max=limits.log_entries,
        page_items=limits.page_items,
        page_rows=limits.page_items,
    )
