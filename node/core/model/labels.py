"""What a client says of a value beside its bytes: its content type, and names and texts of its own.

Contracts whose values are JSON show every value as JSON text; `json_text` makes it.
"""

import base64

import msgspec

_encode = msgspec.json.Encoder().encode


class Labels(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The labels of one version.  `is_json`: the value is JSON text, whatever its content type
    says.  A version without labels is JSON text, too."""

    content_type: str
    meta: dict[str, str] = msgspec.field(default_factory=dict)
    is_json: bool = False

    @property
    def size(self) -> int:
        """About how many bytes they have."""
        own = sum(len(name) + len(text) for name, text in self.meta.items())
        return len(self.content_type) + own


def json_text(value: bytes, labels: Labels | None) -> bytes:
    """The value as JSON text: itself, or a string of its characters, or of its bytes in base64 if
    they are no UTF-8."""
    if labels is None or labels.is_json:
        return value
    try:
        return _encode(value.decode())
    except UnicodeDecodeError:
        return _encode(base64.b64encode(value).decode())
