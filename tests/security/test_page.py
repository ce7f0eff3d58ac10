"""docs/security.md has a line for each rule, and says of each how far it is done."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
ROW = re.compile(r"^\| (E\d+) \| [^|]+ \| (done|partly|no)\b[^|]* \| ([^|]+) \|$", re.MULTILINE)
EVENT = re.compile(r"\.note\(\s*\"([a-z-]+)\"")
SOURCES = PAGE.parents[1] / "node"


def test_every_line_is_there_once_with_a_test() -> None:
    rows = ROW.findall(PAGE.read_text("utf-8"))
    assert [name for name, _, _ in rows] == [f"E{number}" for number in range(1, 27)]
    assert all("`tests/" in tests for _, _, tests in rows)


def test_every_event_of_the_audit_is_on_the_page() -> None:
    events = {
        event for path in SOURCES.rglob("*.py") for event in EVENT.findall(path.read_text("utf-8"))
    }
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE))
    assert len(events) >= 4
    assert events == listed & events
