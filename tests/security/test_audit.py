"""The audit: one line for each event, bounded, and nothing in it that a caller makes up."""

import pytest

from node.security.audit import BURST_LINES, TEXT_CHARACTERS_MAX, Audit
from tests.security.callers import audited


def test_a_caller_cannot_write_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    Audit(lambda: 0.0).note("refused", "10.0.0.1", path="/v1\r\nrefused from=10.0.0.2", empty="")
    (line,) = audited(caplog)
    assert line == r"refused from=10.0.0.1 path='/v1\r\nrefused from=10.0.0.2' empty=''"


def test_a_line_is_short_and_ascii(caplog: pytest.LogCaptureFixture) -> None:
    Audit(lambda: 0.0).note("refused", None, path="\u2028" * 10_000, quoted="it's")
    (line,) = audited(caplog)
    assert line.isascii()
    assert len(line) < 100 + 6 * TEXT_CHARACTERS_MAX
    assert line.startswith("refused from=unknown")
    assert line.endswith('quoted="it\'s"')


def test_a_flood_is_bounded_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    audit = Audit(lambda: now)
    for _ in range(10_000):
        audit.note("refused", "10.0.0.1")
    audit.note("view-changed", "10.0.0.2")
    lines = audited(caplog)
    assert lines == ["refused from=10.0.0.1"] * BURST_LINES + ["view-changed from=10.0.0.2"]
    now = 2.0
    for _ in range(3):
        audit.note("refused", "10.0.0.1")
    assert audited(caplog) == [
        f"refused from=10.0.0.1 not_written={10_000 - BURST_LINES}",
        "refused from=10.0.0.1",
    ]
