"""The secret that all nodes of a cluster share, and how a node proves that it has it.

A proof is an HMAC-SHA256 of what the two nodes have said: which of them dialed, both names, and a
random number of each that stands for this connection.  (RFC 2104; docs/security.md.)  So a proof is
good for one connection, in one direction, between these two nodes.

Two secrets may be valid at the same time, so that all nodes can get a new one while they run.  A
node that dials proves the first one; a node that is called answers with the one that its caller
has.
"""

import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from node.security.expected import (
    DIFFERENT_CHARACTERS_MIN,
    SECRET_CHARACTERS_MIN,
    SECRETS,
    SECRETS_MAX,
)
from node.setting_types import BadSetting

FILE_BYTES_MAX = 64 * 1024
NONCE_BYTES = 32
LABEL = b"coterie peer link 1"
DIALER, LISTENER = b"dialer", b"listener"
Secret = bytes


class Meeting(NamedTuple):
    """What a proof is about: the names of the dialer and the listener, and a nonce of each."""

    dialer: str
    listener: str
    challenge: bytes  # the listener's nonce
    nonce: bytes  # the dialer's


class ClusterSecrets:
    """The secrets that are valid now; without any, a node asks its peers for no proof."""

    def __init__(self, secrets: Sequence[Secret] = ()) -> None:
        self._secrets = tuple(secrets)

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def renew(self, secrets: Sequence[Secret]) -> None:
        """Take these secrets instead.  A node that has begun with one is never without."""
        assert bool(secrets) == bool(self._secrets)
        self._secrets = tuple(secrets)

    @property
    def first(self) -> Secret:
        return self._secrets[0]

    def is_valid(self, secret: Secret) -> bool:
        return any(hmac.compare_digest(secret, each) for each in self._secrets)

    def proven(self, side: bytes, meeting: Meeting, proof: bytes) -> Secret | None:
        """Return the secret that this proof was made with, or None if it is none of ours."""
        found = None
        for secret in self._secrets:  # all of them, so that the time tells nothing
            if hmac.compare_digest(proof_of(secret, side, meeting), proof):
                found = secret
        return found


def proof_of(secret: Secret, side: bytes, meeting: Meeting) -> bytes:
    """Return what shows that this side of the meeting has the secret."""
    names = meeting.dialer.encode(), meeting.listener.encode()
    parts = (LABEL, side, *names, meeting.challenge, meeting.nonce)
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, text, "sha256")


# ------------------------------------------------------------------ where they come from


def secrets_in(text: str) -> tuple[Secret, ...]:
    """Read the text of the setting, or of the file.  Raises ValueError, which names no secret."""
    words = text.split()
    if not 1 <= len(words) <= SECRETS_MAX or not all(map(_is_strong, words)):
        raise ValueError(SECRETS)
    return tuple(word.encode() for word in words)


def _is_strong(word: str) -> bool:
    is_plain = word.isascii() and word.isprintable()
    return (
        is_plain
        and len(word) >= SECRET_CHARACTERS_MIN
        and len(set(word)) >= DIFFERENT_CHARACTERS_MIN
    )


def secrets_from(path: Path) -> tuple[Secret, ...]:
    """Read the secrets in this file.  Raises BadSetting."""
    try:
        with path.open("rb") as file:
            return secrets_in(file.read(FILE_BYTES_MAX).decode("ascii"))
    except OSError as error:
        expected = f"a file to read ({error.strerror})"
    except ValueError:  # UnicodeDecodeError, too
        expected = f"a file with {SECRETS}"
    raise BadSetting("CLUSTER_SECRET_FILE", str(path), expected)
