"""Lines of an answer that comes part by part."""


class Lines:
    """Puts parts together, and cuts them into lines."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []

    def take(self, part: bytes) -> list[bytes]:
        """Return the lines that end in this part, without their ends."""
        *lines, rest = part.split(b"\n")
        if lines:
            lines[0] = b"".join([*self._begun, lines[0]])
            self._begun = []
        self._begun.append(rest)
        return lines
