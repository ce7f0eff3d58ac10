"""TLS for the node's one port and for its links: a certificate, its key, and an authority.

The node's certificate serves clients and peers, and shows the node to the peers that it dials.  A
caller may show a certificate; it must then be of the authority `TLS_CA`.  A peer must, and the
certificate must name its host.  (RFC 8446, RFC 5246; docs/security.md.)
"""

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from node.setting_types import BadSetting


class TlsFiles(NamedTuple):
    """Where the certificate is, in PEM."""

    certificate: Path
    key: Path
    authority: Path


class TlsPair(NamedTuple):
    """What a node shows and demands: as the one that is called, and as the one that dials."""

    server: ssl.SSLContext
    client: ssl.SSLContext


class TlsContexts:
    """The pair that is valid now; connections that are open keep what they began with."""

    def __init__(self, pair: TlsPair) -> None:
        self._pair = pair

    def renew(self, pair: TlsPair) -> None:
        self._pair = pair

    @property
    def server(self) -> ssl.SSLContext:
        return self._pair.server

    @property
    def client(self) -> ssl.SSLContext:
        return self._pair.client


def pair_from(files: TlsFiles) -> TlsPair:
    """Read the files.  Raises BadSetting, which names the one that is no good."""
    server = _context(files, ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_OPTIONAL
    return TlsPair(server, _context(files, ssl.PROTOCOL_TLS_CLIENT))


def _context(files: TlsFiles, protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(files.authority)
    except OSError as error:  # ssl.SSLError, too
        expected = f"the certificates of an authority, in PEM ({_reason(error)})"
        raise BadSetting("TLS_CA", str(files.authority), expected) from None
    try:
        context.load_cert_chain(files.certificate, files.key, password=lambda: "")
    except OSError as error:
        expected = f"a certificate in PEM, of the key without a password in TLS_KEY: {files.key}"
        shown = f"{expected} ({_reason(error)})"
        raise BadSetting("TLS_CERT", str(files.certificate), shown) from None
    return context


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def why_refused(error: ssl.SSLError) -> str:
    """Return why a handshake has failed, in a few words."""
    words: str = getattr(error, "verify_message", "") or error.reason or "no TLS"
    return words.lower().replace("_", " ")


def names(certificate: Mapping[str, Any], host: str) -> bool:
    """Whether a certificate that TLS has verified is of this host, a name or an IP address.

    A certificate of several hosts names each; one with a * names no node.  (RFC 6125, 6.4.)
    """
    for kind, text in certificate.get("subjectAltName", ()):
        if kind == "DNS" and text.lower() == host.lower():
            return True
        if kind == "IP Address" and _same_address(text, host):
            return True
    return False


def _same_address(one: str, other: str) -> bool:
    try:
        return ip_address(one.strip()) == ip_address(other)
    except ValueError:
        return False
