"""Encrypts a connection before the port sees it; the certificates of the moment count.

A server of asyncio would keep the certificates that it began with, and tell nobody of a handshake
that has failed.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from node.security.audit import Audit
from node.security.tls import TlsContexts, why_refused

CLOSE_S = 1.0  # for the other side to end TLS

NewConnection = Callable[[], asyncio.Protocol]


class TlsDoor:
    """Makes an encrypted connection of each one that is accepted."""

    def __init__(self, tls: TlsContexts, audit: Audit, handshake_s: float) -> None:
        self._tls, self._audit, self._handshake_s = tls, audit, handshake_s
        self._handshakes: set[asyncio.Task[None]] = set()

    def before(self, new_connection: NewConnection) -> NewConnection:
        """Return what makes the protocol of a connection that is not encrypted yet."""
        return lambda: Handshake(self, new_connection)

    def begin(self, transport: asyncio.Transport, new_connection: NewConnection) -> None:
        task = asyncio.create_task(self._encrypt(transport, new_connection()))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _encrypt(self, transport: asyncio.Transport, connection: asyncio.Protocol) -> None:
        peer = transport.get_extra_info("peername")
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                self._tls.server,
                server_side=True,
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=CLOSE_S,
            )
        except ssl.SSLError as error:
            self._audit.note("tls-refused", peer[0] if peer else None, why=why_refused(error))
            transport.abort()
        except OSError:  # it has left, or takes too long
            transport.abort()
        else:
            if encrypted is not None and not encrypted.is_closing():
                connection.connection_made(encrypted)

    def close(self) -> None:
        """Give up the handshakes that have not ended."""
        for task in self._handshakes:
            task.cancel()


class Handshake(asyncio.Protocol):
    """Holds a connection from its first byte until the handshake takes it over."""

    def __init__(self, door: TlsDoor, new_connection: NewConnection) -> None:
        self._door, self._new_connection = door, new_connection

    def connection_made(self, transport: Any) -> None:
        transport.pause_reading()
        self._door.begin(transport, self._new_connection)
