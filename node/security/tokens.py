"""The bearer tokens of clients: a file with the hash of each, and what each may do.

A token is `coterie_ID_SECRET`; its secret has 256 random bits, so one SHA-256 of the whole token is
enough to keep.  A line of the file is the id, the scopes, the hash and a name for people:

    k3v9x2ab4c read,write 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 shop
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from node.security.expected import TOKENS_SETTING
from node.security.scopes import Scopes, scopes_in, text_of
from node.setting_types import BadSetting

FILE_BYTES_MAX = 4 * 1024 * 1024
PREFIX = "coterie"
ID_BYTES, SECRET_BYTES = 5, 32
TOKEN = re.compile(rf"{PREFIX}_([a-z2-9]{{10}})_([A-Za-z0-9_-]{{43}})")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
LINE = re.compile(r"([a-z2-9]{10}) ([a-z,]+) ([0-9a-f]{64}) ([A-Za-z0-9._-]{1,64})")
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is easily taken for another
A_LINE = "`ID SCOPES HASH NAME`, as `coterie token create` makes them"


class ApiToken(NamedTuple):
    """What a node keeps of a token."""

    id: str
    scopes: Scopes
    digest: bytes
    name: str


class ApiTokens:
    """The tokens that are valid now; without any, a node asks its clients for none."""

    def __init__(self, tokens: Iterable[ApiToken] = ()) -> None:
        self._by_id = {token.id: token for token in tokens}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def renew(self, tokens: Sequence[ApiToken]) -> None:
        """Take these tokens instead.  A node that has begun with some is never without."""
        assert bool(tokens) == bool(self._by_id)
        self._by_id = {token.id: token for token in tokens}

    def find(self, text: str) -> ApiToken | None:
        """Return the token of this text, if it is valid.  The time tells nothing of its secret."""
        found = TOKEN.fullmatch(text)
        token = None if found is None else self._by_id.get(found[1])
        if token is None or not hmac.compare_digest(digest_of(text), token.digest):
            return None
        return token


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def new_token(scopes: Scopes, name: str) -> tuple[str, str]:
    """Make a token; return its text, for the client alone, and its line for the file."""
    if not NAME.fullmatch(name) or not scopes:
        raise ValueError("a token has a scope, and a name of letters, digits, dots and hyphens")
    own_id = "".join(secrets.choice(LETTERS) for _ in range(2 * ID_BYTES))
    text = f"{PREFIX}_{own_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return text, f"{own_id} {text_of(scopes)} {digest_of(text).hex()} {name}"


def tokens_in(text: str) -> tuple[ApiToken, ...]:
    """Read the lines; empty ones and those that begin with # count for nothing.

    Raises ValueError, whose text names the line and shows nothing of it.
    """
    tokens: dict[str, ApiToken] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.rstrip())
        if found is None:
            raise ValueError(f"line {number} is no {A_LINE}")
        if found[1] in tokens:
            raise ValueError(f"line {number} has the id of an earlier one")
        try:
            scopes = scopes_in(found[2])
        except ValueError:
            raise ValueError(f"line {number} has scopes other than read, write, admin") from None
        tokens[found[1]] = ApiToken(found[1], scopes, bytes.fromhex(found[3]), found[4])
    if not tokens:
        raise ValueError("it has no token")
    return tuple(tokens.values())


def tokens_from(path: Path) -> tuple[ApiToken, ...]:
    """Read the tokens in this file.  Raises BadSetting."""
    try:
        with path.open("rb") as file:
            return tokens_in(file.read(FILE_BYTES_MAX).decode("ascii"))
    except OSError as error:
        expected = f"a file to read ({error.strerror})"
    except UnicodeDecodeError:
        expected = f"a file with lines {A_LINE}"
    except ValueError as error:
        expected = f"a file with lines {A_LINE}; {error}"
    raise BadSetting(TOKENS_SETTING, str(path), expected)
