"""The door of /peer: proves this node to those that it dials, and admits the callers that prove
themselves.

Without a secret every node may call.  With one, a link begins with two requests on one connection:

    dialer                                      listener
    GET /peer                                   401, WWW-Authenticate: Coterie-Peer challenge="C"
    GET /peer, Upgrade, Authorization:
      Coterie-Peer node="D", nonce="N",
      proof=HMAC(dialer, D, L, C, N)            101, Authentication-Info: HMAC(listener, D, L, C, N)

The challenge is good for one answer on the connection that it was made for.  A caller that proves
nothing gets the same 401 for every reason, and the listener proves nothing to it.  The dialer says
nothing more to a node that does not prove itself.  Only then do both say hello.  (RFC 9110, 11.)
With TLS both also have a certificate, which names the node's host.
"""

import asyncio
import re
import secrets
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp import web_request, web_response
from aiohttp.hdrs import AUTHENTICATION_INFO, AUTHORIZATION, CONNECTION, SERVER, WWW_AUTHENTICATE

from node.security.audit import Audit
from node.security.cluster_secret import (
    DIALER,
    LISTENER,
    NONCE_BYTES,
    ClusterSecrets,
    Meeting,
    Secret,
    proof_of,
)
from node.security.tls import TlsContexts, names, why_refused
from node.shell.peers.handshake import PATH, NewLink, as_link, new_session
from node.shell.peers.link import RECEIVE_BYTES_MAX, Link

SCHEME = "Coterie-Peer"
TEXT = r"[A-Za-z0-9_-]{43}"  # 32 bytes in base64url, without the sign at its end
NAME = r"[A-Za-z0-9._:\[\]-]{1,259}"
CHALLENGE = re.compile(rf'{SCHEME} challenge="({TEXT})"')
CLAIM = re.compile(rf'{SCHEME} node="({NAME})", nonce="({TEXT})", proof="({TEXT})"')
PROOF = re.compile(rf'proof="({TEXT})"')
SWEEP_MIN = 64  # challenges to hold before a look for connections that have gone
NEUTRAL: Mapping[str, str] = {SERVER: "coterie"}


class Distrusted(ConnectionError):
    """The node that was dialed does not prove that it has the cluster's secret."""


class Admitted(NamedTuple):
    """A caller that may say hello: its proven name and secret, or none where none are asked for."""

    name: str = ""
    secret: Secret = b""
    headers: Mapping[str, str] = NEUTRAL  # of the answer


class Gate:
    """Both sides of the door, for the node of this name."""

    def __init__(
        self, name: str, keys: ClusterSecrets, audit: Audit, tls: TlsContexts | None = None
    ) -> None:
        self._name, self._keys, self._audit, self._tls = name, keys, audit, tls
        self._challenges: dict[asyncio.Transport, bytes] = {}
        self._sweep_at = SWEEP_MIN

    # -------------------------------------------------------------- the node that is called

    def admit(
        self, request: web_request.BaseRequest, transport: asyncio.Transport
    ) -> Admitted | web_response.Response:
        """Return the caller if it may open a link, or the answer that refuses it."""
        if not self._keys:
            return Admitted()
        challenge = self._challenges.pop(transport, None)
        certificate = transport.get_extra_info("peercert")
        if self._tls is not None and not certificate:
            return self._turned_away(request, "it shows no certificate")
        said = request.headers.get(AUTHORIZATION)
        if said is None:
            return self._challenged(transport)
        claim = CLAIM.fullmatch(said)
        if claim is None:
            return self._turned_away(request, "it has no proof of a node, but another credential")
        name, nonce, proof = claim[1], _bytes_of(claim[2]), _bytes_of(claim[3])
        if challenge is None:
            return self._turned_away(request, "it answers no challenge of this connection", name)
        if self._tls is not None and not names(certificate, _host_of(name)):
            return self._turned_away(request, "its certificate is of another node", name)
        meeting = Meeting(name, self._name, challenge, nonce)
        secret = self._keys.proven(DIALER, meeting, proof)
        if secret is None:
            return self._turned_away(request, "its proof is wrong for this meeting", name)
        answer = f'proof="{_text_of(proof_of(secret, LISTENER, meeting))}"'
        return Admitted(name, secret, {**NEUTRAL, AUTHENTICATION_INFO: answer})

    def _challenged(self, transport: asyncio.Transport) -> web_response.Response:
        """Challenge the caller; it proves itself with its next request on the connection."""
        if len(self._challenges) >= self._sweep_at:
            gone = [each for each in self._challenges if each.is_closing()]
            for each in gone:
                del self._challenges[each]
            self._sweep_at = max(SWEEP_MIN, 2 * len(self._challenges))
        challenge = self._challenges[transport] = secrets.token_bytes(NONCE_BYTES)
        asked = f'{SCHEME} challenge="{_text_of(challenge)}"'
        return web_response.Response(status=401, headers={**NEUTRAL, WWW_AUTHENTICATE: asked})

    def _turned_away(
        self, request: web_request.BaseRequest, why: str, name: str = ""
    ) -> web_response.Response:
        """Refuse with no word of the reason, which the audit has."""
        claimed = {"node": name} if name else {}
        self._audit.note("peer-refused", request.remote, **claimed, why=why)
        answer = web_response.Response(status=401, headers={**NEUTRAL, CONNECTION: "close"})
        answer.force_close()
        return answer

    def trusts(self, link: Link) -> bool:
        """Whether the link was opened with a secret that is still valid."""
        return not self._keys or self._keys.is_valid(link.secret)

    # -------------------------------------------------------------- the node that dials

    async def dial(
        self, session: aiohttp.ClientSession, peer: str, where: str, new_link: NewLink
    ) -> Link | None:
        """Dial a node, and return the link before any hello; None when it broke at once.

        Raises aiohttp.ClientError or OSError when no node answers there, and Distrusted when it
        is none of this cluster.
        """
        url = f"{'http' if self._tls is None else 'https'}://{where}{PATH}"
        if not self._keys:
            why = "it asks for the secret of the cluster, and this node has none"
            return as_link(await self._open(session, peer, url, {}, why), new_link)
        # A pool of its own, so that both requests go over one connection.
        own = new_session(limit=1)
        link = None
        try:
            link = await self._prove(own, peer, url, new_link)
        finally:
            if link is None:
                await own.close()
        own.detach()  # the link has the connection, and closes it
        return link

    async def _prove(
        self, session: aiohttp.ClientSession, peer: str, url: str, new_link: NewLink
    ) -> Link | None:
        try:
            async with session.get(url, ssl=self._client_tls) as answer:
                asked = CHALLENGE.fullmatch(answer.headers.get(WWW_AUTHENTICATE, ""))
                await answer.read()
        except aiohttp.ClientSSLError as error:
            cause = error.__cause__
            reason = why_refused(cause) if isinstance(cause, ssl.SSLError) else str(error)
            why = f"its certificate is no good: {reason}"
            raise self._distrust(peer, url, why) from error
        if asked is None:
            raise self._distrust(peer, url, "it does not ask for the secret of the cluster")
        nonce, secret = secrets.token_bytes(NONCE_BYTES), self._keys.first
        meeting = Meeting(self._name, peer, _bytes_of(asked[1]), nonce)
        proof = _text_of(proof_of(secret, DIALER, meeting))
        claim = f'{SCHEME} node="{self._name}", nonce="{_text_of(nonce)}", proof="{proof}"'
        why = "it refuses the secret of this node"
        web_socket = await self._open(session, peer, url, {AUTHORIZATION: claim}, why)
        link = as_link(web_socket, new_link)
        if link is None:
            return None
        info = PROOF.fullmatch(web_socket._response.headers.get(AUTHENTICATION_INFO, ""))
        expected = proof_of(secret, LISTENER, meeting)
        if info is None or not secrets.compare_digest(_bytes_of(info[1]), expected):
            link.abort()
            raise self._distrust(peer, url, "it does not prove that it has the secret")
        link.secret = secret
        return link

    async def _open(
        self,
        session: aiohttp.ClientSession,
        peer: str,
        url: str,
        headers: Mapping[str, str],
        why: str,
    ) -> aiohttp.ClientWebSocketResponse:
        """Open the WebSocket; `why` is what it means when the other node asks for a proof."""
        try:
            return await session.ws_connect(
                url, max_msg_size=RECEIVE_BYTES_MAX, headers=headers, ssl=self._client_tls
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 401:
                raise
            raise self._distrust(peer, url, why) from error

    @property
    def _client_tls(self) -> ssl.SSLContext | bool:
        return True if self._tls is None else self._tls.client

    def _distrust(self, peer: str, url: str, why: str) -> Distrusted:
        self._audit.note("peer-distrusted", url, node=peer, why=why)
        return Distrusted(why)


def _host_of(name: str) -> str:
    """Return the host of a node's name, which may be its address."""
    host, is_address, _ = name.rpartition(":")
    return host.strip("[]") if is_address else name


def _text_of(number: bytes) -> str:
    return urlsafe_b64encode(number).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=")
