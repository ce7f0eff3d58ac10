"""When the store moves rows from its log into their tables, and how many at a time."""

import msgspec


class DiskLimits(msgspec.Struct, frozen=True):
    """SQLite's log takes each commit at once; the rows settle in their tables later."""

    idle_s: float = 0.05  # after this time without a write the thread moves the log into the tables
    checkpoint_idle_bytes: int = 4 * 1024 * 1024
    checkpoint_busy_bytes: int = 16 * 1024 * 1024  # a log as long is moved even while commits wait
    generation_rows: int = 65_536  # the more rows, the more of them share a page
    portion_rows: int = 32  # at least so many settle with a commit
    settling_at_end_s: float = 1.0  # rows that have not settled by then are read back at a start
    blob_bytes_max: int = 256 * 1024 * 1024  # a larger commit is several rows


USUAL = DiskLimits()
