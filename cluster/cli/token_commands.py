"""What `coterie token create` does: a bearer token, which is shown once, and the line that nodes
keep of it.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.engines.console import say
from cluster.engines.topology import USAGE, Trouble
from node.security.expected import TOKENS_SETTING
from node.security.scopes import scopes_in
from node.security.tokens import new_token


def create(scopes: Sequence[str], name: str, file: Path | None) -> None:
    """Print a new token; add its line to the file, or say it on standard error."""
    try:
        text, line = new_token(scopes_in(",".join(scopes)), name)
    except ValueError:
        words = "--scope is read, write or admin, and --name has letters, digits, dots and hyphens"
        raise Trouble(words, USAGE) from None
    if file is None:
        print(f"the line for the file that {TOKENS_SETTING} names:\n{line}", file=sys.stderr)
    else:
        _add(file, line)
        print(f"{file} has the hash; nodes that run read it again on SIGHUP", file=sys.stderr)
    say(text)


def _add(file: Path, line: str) -> None:
    """Add the line; the file is for its owner alone if this makes it."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as opened:
            opened.write(f"{line}\n")
    except OSError as error:
        raise Trouble(f"cannot write {file}: {error.strerror}") from error
