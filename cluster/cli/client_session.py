"""The client of one command: which nodes it asks, the session that it goes on with, and the exit
codes of errors.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.cli import session_file
from cluster.cli.session_file import SavedSession
from cluster.engines.node_client import CA_VARIABLE, TOKEN_VARIABLE
from cluster.engines.topology import (
    CONFLICT,
    FAILURE,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    Trouble,
)
from coterie import (
    NOTHING,
    Absent,
    BadRequest,
    Client,
    Conflict,
    ContextWanted,
    CoterieError,
    Incomplete,
    NotEmpty,
    PreconditionFailed,
    TooManySiblings,
    Unavailable,
    Unmet,
)

UNMET = 6
CODES: tuple[tuple[type[CoterieError], int], ...] = (
    (Absent, NOT_FOUND),
    (Conflict, CONFLICT),
    (PreconditionFailed, CONFLICT),
    (TooManySiblings, CONFLICT),
    (ContextWanted, CONFLICT),
    (NotEmpty, CONFLICT),
    (Unavailable, UNAVAILABLE),
    (Incomplete, UNAVAILABLE),
    (Unmet, UNMET),
    (BadRequest, USAGE),
    (CoterieError, FAILURE),
)


@dataclass(frozen=True)
class Asked:
    """The nodes that a command asks, with the names of addresses as far as they are known, the file
    of its session, and how many seconds a call may take."""

    urls: tuple[str, ...]
    names: Mapping[str, str]
    session: Path | None
    timeout_s: float


@contextmanager
def session_of(asked: Asked, key: str = "") -> Iterator[tuple[Client, SavedSession]]:
    """Give a client that goes on with the session of the file, and keep what it has seen, also if
    a call fails.  Errors of the client end the command with their exit code."""
    saved = session_file.load(asked.session)
    try:
        with Client(
            asked.urls,
            timeout=asked.timeout_s,
            token=saved.token,
            api_token=os.environ.get(TOKEN_VARIABLE, ""),
            ca=os.environ.get(CA_VARIABLE, ""),
        ) as kv:
            try:
                yield kv, saved
            finally:
                saved.token = kv.token
                if (seen := kv.context_of(key)) != NOTHING:
                    saved.saw(key, seen)
                session_file.save(asked.session, saved)
    except CoterieError as error:
        raise Trouble(words_of(error, key), code_of(error)) from error
    except (ValueError, TypeError) as error:
        raise Trouble(str(error), USAGE) from error


def code_of(error: CoterieError) -> int:
    return next(code for kind, code in CODES if isinstance(error, kind))


def words_of(error: CoterieError, key: str) -> str:
    """Return what went wrong, whether a write may be done, and what helps."""
    if isinstance(error, Conflict):
        words = f"{key!r} has {len(error.siblings)} values"
        return f"{words}: `coterie resolve` writes one in their place, by --pick ID or --by union"
    words = str(error)
    if not error.definite:
        words += "; the write may be done or not"
    if isinstance(error, Unmet):
        words += f"; `coterie explain {key}` says which replicas have it"
    return words
