"""Rows in their order, of some slots only: a row begins with its slot."""

from typing import Protocol

from node.core.parts import Slots

Row = tuple[str, bytes]


class Scans(Protocol):
    def scan(self, table: str, after: str | None, limit: int) -> list[Row]: ...


def rows_within(
    rows: Scans, slots: Slots, after: str | None, limit: int
) -> list[tuple[str, bytes]]:
    """At most `limit` rows of these slots behind `after`, in their order; fewer: there are no
    more."""
    found: list[Row] = []
    cursor = after or ""
    while len(found) < limit:
        first = int(cursor[:3], 16) if cursor else 0
        rest = slots >> first
        if not rest:
            break
        slot = first + (rest & -rest).bit_length() - 1
        cursor = max(cursor, f"{slot:03x}")
        asked = limit - len(found)
        page = rows.scan("item", cursor, asked)
        inside = 0
        for row, blob in page:
            if not slots >> int(row[:3], 16) & 1:
                break
            found.append((row, blob))
            inside += 1
        if inside == len(page) and len(page) < asked:
            break
        cursor = page[inside][0] if inside < len(page) else page[-1][0]
    return found
