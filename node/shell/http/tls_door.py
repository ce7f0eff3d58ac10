"""Encrypts a connection before the port sees it; the certificates of the moment count.

A server of asyncio would keep the certificates that it began with, and tell nobody of a handshake
that has failed.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Generator
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
        """Take the connection over at once, before the loop reads from it."""
        connection = new_connection()
        handshake = asyncio.get_running_loop().start_tls(
            transport,
            connection,
            self._tls.server,
            server_side=True,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=CLOSE_S,
        )
        begun = EagerSteps(handshake)
        task = asyncio.create_task(self._finish(transport, connection, begun))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _finish(
        self, transport: asyncio.Transport, connection: asyncio.Protocol, begun: "EagerSteps"
    ) -> None:
        peer = transport.get_extra_info("peername")
        try:
            encrypted = await begun
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


class EagerSteps:
    """A coroutine whose first step is done at once, and not in the next turn of the loop.

    Until `start_tls` has changed the protocol, what the loop reads would be lost, and uvloop cannot
    pause a connection that has just been made.
    """

    def __init__(self, steps: Coroutine[Any, Any, asyncio.Transport | None]) -> None:
        self._steps, self._first = steps, steps.send(None)

    def __await__(self) -> Generator[Any, Any, asyncio.Transport | None]:
        yield self._first
        return (yield from self._steps.__await__())


class Handshake(asyncio.Protocol):
    """Stands for a connection until the handshake takes it over."""

    def __init__(self, door: TlsDoor, new_connection: NewConnection) -> None:
        self._door, self._new_connection = door, new_connection

    def connection_made(self, transport: Any) -> None:
        self._door.begin(transport, self._new_connection)
