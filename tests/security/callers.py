"""Callers of /peer that tests write by hand: what they say, and what the audit says of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp.hdrs import AUTHENTICATION_INFO, AUTHORIZATION, WWW_AUTHENTICATE

from node.security.cluster_secret import DIALER, LISTENER, Meeting, proof_of
from node.shell.peers.gate import CHALLENGE, PROOF, SCHEME, _bytes_of, _text_of

ONE, TWO = b"one-secret-of-32-characters-or-more", b"two-secret-of-32-characters-or-more"
CALLER = "127.0.0.1:9"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


class Heard(NamedTuple):
    """An answer of /peer."""

    status: int
    challenge: str
    proof: str


class Caller:
    """One connection to /peer of a node."""

    def __init__(self, session: aiohttp.ClientSession, where: str) -> None:
        self._session, self._where = session, where
        self.claim = ""  # the last one that was sent

    async def ask(self, **headers: str) -> Heard:
        """Ask for an upgrade with these headers, or for a challenge without any."""
        sent = {**UPGRADE, **headers} if headers else {}
        async with self._session.get(f"http://{self._where}/peer", headers=sent) as answer:
            asked = CHALLENGE.fullmatch(answer.headers.get(WWW_AUTHENTICATE, ""))
            proof = PROOF.fullmatch(answer.headers.get(AUTHENTICATION_INFO, ""))
            return Heard(answer.status, asked[1] if asked else "", proof[1] if proof else "")

    async def challenge(self) -> str:
        heard = await self.ask()
        assert (heard.status, heard.proof) == (401, "")
        return heard.challenge

    async def prove(
        self,
        secret: bytes,
        challenge: str,
        listener: str = "",
        side: bytes = DIALER,
        claimed: str = CALLER,
    ) -> Heard:
        """Send the proof that this secret gives, as a caller of the name `CALLER`."""
        nonce = b"n" * 32
        meeting = Meeting(CALLER, listener or self._where, _bytes_of(challenge), nonce)
        proof = _text_of(proof_of(secret, side, meeting))
        self.claim = f'{SCHEME} node="{claimed}", nonce="{_text_of(nonce)}", proof="{proof}"'
        heard = await self.ask(**{AUTHORIZATION: self.claim})
        if heard.status == 101:
            assert heard.proof == _text_of(proof_of(secret, LISTENER, meeting))
        else:
            assert heard == (401, "", "")
        return heard


@asynccontextmanager
async def calling(where: str) -> AsyncIterator[Caller]:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Caller(session, where)


def audited(log: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of the audit, and forget them."""
    lines = [record.getMessage() for record in log.records if record.name == "coterie.audit"]
    log.clear()
    return lines
