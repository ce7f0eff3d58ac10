"""An authority for tests, the certificates that it signs, and nodes that show them."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import trustme

from node.api.contract import Reply
from node.security.audit import Audit
from node.security.tls import TlsContexts, TlsFiles, pair_from
from node.shell.http.port_limits import PortLimits
from node.shell.http.request_body import Listener
from node.shell.http.response import Answer
from node.shell.http.tls_door import TlsDoor
from tests.peers import Peer

LONG_AGO = datetime(2020, 1, 2, tzinfo=UTC)
LIMITS = PortLimits(close_timeout_s=0.1)


class Authority:
    """Signs certificates; keeps its files in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._count = directory, 0
        directory.mkdir()
        self.own = trustme.CA()
        self.file = directory / "authority.pem"
        self.own.cert_pem.write_to_path(str(self.file))

    def files(self, host: str, *, expired: bool = False) -> TlsFiles:
        """Sign a certificate of this host."""
        self._count += 1
        certificate = self._directory / f"{self._count}.pem"
        key = self._directory / f"{self._count}.key"
        before, after = (datetime(2020, 1, 1, tzinfo=UTC), LONG_AGO) if expired else (None, None)
        leaf = self.own.issue_cert(host, not_before=before, not_after=after)
        certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(key))
        return TlsFiles(certificate, key, self.file)


def contexts(files: TlsFiles, authority: Authority | None = None) -> TlsContexts:
    """Return what a node of these files shows; `authority` is the one that it trusts instead."""
    return TlsContexts(
        pair_from(files if authority is None else files._replace(authority=authority.file))
    )


@asynccontextmanager
async def encrypted(peer: Peer, port: socket.socket, tls: TlsContexts) -> AsyncIterator[None]:
    """Serve /peer of this node at the port, with TLS."""

    def refuse(reply: Reply) -> Answer:
        return Answer(reply, 0, closes=True)

    door = TlsDoor(tls, Audit(), LIMITS.head_timeout_s)
    listener = Listener(peer.links.accept, refuse, LIMITS, door)
    await listener.open([port])
    try:
        yield
    finally:
        listener.accept_no_more()
        await listener.close()
