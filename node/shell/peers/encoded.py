"""The bytes of messages: one to several peers comes several times in a row, and is encoded once."""

from node.core.protocol.messages import Envelope
from node.shell.peers.handshake import encode


class LastEncoded:
    """Remembers the last message that it has encoded."""

    def __init__(self) -> None:
        self._last: tuple[Envelope | None, bytes] = None, b""

    def bytes_of(self, envelope: Envelope) -> bytes:
        """Return the message as a frame has it."""
        if envelope is not self._last[0]:
            self._last = envelope, encode(envelope)
        return self._last[1]
