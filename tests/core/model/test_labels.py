"""A value as JSON text, for the contracts whose values are JSON."""

import pytest

from node.core.model.item import Version
from node.core.model.labels import Labels, json_text


@pytest.mark.parametrize(
    ("value", "labels", "text"),
    [
        (b"[1.50]", None, b"[1.50]"),
        (b"[1.50]", Labels("application/hal+json", {}, is_json=True), b"[1.50]"),
        (b'say "hi"', Labels("text/plain"), rb'"say \"hi\""'),
        (b"", Labels("text/plain"), b'""'),
        (b"\xff\x00", Labels("image/png"), b'"/wA="'),
    ],
)
def test_every_value_has_a_json_text(value: bytes, labels: Labels | None, text: bytes) -> None:
    assert json_text(value, labels) == text
    assert Version(value, labels=labels).text == text


def test_a_delete_mark_has_none() -> None:
    assert Version(None).text == b""


def test_labels_count_as_bytes_of_a_version() -> None:
    assert Version(b"tea", labels=Labels("a/b", {"Cup": "big"})).size == 3 + 3 + 6
    assert Version(None).size == 0
