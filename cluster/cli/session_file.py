"""What a session keeps in a file between commands: its token, and what it has seen of keys."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.engines.topology import USAGE, Trouble

CONTEXTS_MAX = 1000  # the keys that were used last


@dataclass
class SavedSession:
    """A session between two commands.  `contexts` are by key, the key that was used last at the
    end."""

    token: str = ""
    contexts: dict[str, str] = field(default_factory=dict)

    def saw(self, key: str, context: str) -> None:
        """Keep what was seen of a key."""
        self.contexts.pop(key, None)
        self.contexts[key] = context
        while len(self.contexts) > CONTEXTS_MAX:
            del self.contexts[next(iter(self.contexts))]


def load(path: Path | None) -> SavedSession:
    """Read a session; a file that is not there is a session that has seen nothing."""
    if path is not None and not os.access(path.parent, os.W_OK):
        words = "its folder is not there, or may not be written: name another file"
        raise Trouble(f"the session cannot be kept in {path}: {words}", USAGE)
    if path is None or not path.exists():
        return SavedSession()
    try:
        said = json.loads(path.read_bytes())
        token, contexts = said["token"], said["contexts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path) from error
    if not isinstance(token, str) or not _is_of_texts(contexts):
        raise _unreadable(path)
    return SavedSession(token, contexts)


def _is_of_texts(contexts: object) -> bool:
    return isinstance(contexts, Mapping) and all(isinstance(c, str) for c in contexts.values())


def _unreadable(path: Path) -> Trouble:
    words = "is no session file: name another one, or remove it to begin a new session"
    return Trouble(f"{path} {words}", USAGE)


def save(path: Path | None, session: SavedSession) -> None:
    """Write a session, whole or not at all."""
    if path is None:
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    document = {"token": session.token, "contexts": session.contexts}
    try:
        draft.write_text(json.dumps(document, indent=1), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise Trouble(f"the session cannot be kept in {path}: {error.strerror}") from error
