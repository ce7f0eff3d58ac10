"""Makes the secrets of a new cluster in a folder: `python -m node.security.first_keys FOLDER`.

The secret of the nodes, the token of an operator with all scopes, and the file with its hash.  What
is there already stays, so that it can run before each start.  It shows no secret.  It is part of
the node, so that the image of a node can make them.
"""

import os
import secrets
import sys
from pathlib import Path

from node.security.scopes import ALL
from node.security.tokens import new_token

CLUSTER_SECRET, API_TOKENS, OPERATOR_TOKEN = "cluster-secret", "api-tokens", "operator-token"
SECRET_BYTES = 32
DONE, FAILURE, USAGE = 0, 1, 2


def make(folder: Path) -> list[str]:
    """Make the files that are missing, for their owner alone; return their names.

    The file with the hash comes last: a token without it would be good for nothing, and is made
    anew.  Raises OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    if not (folder / CLUSTER_SECRET).exists():
        _write(folder / CLUSTER_SECRET, secrets.token_hex(SECRET_BYTES))
        made.append(CLUSTER_SECRET)
    if not (folder / API_TOKENS).exists():
        text, line = new_token(ALL, "operator")
        _write(folder / OPERATOR_TOKEN, text)
        _write(folder / API_TOKENS, line)
        made += [OPERATOR_TOKEN, API_TOKENS]
    return made


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(unfinished, flags, 0o600), "w") as opened:
        opened.write(f"{text}\n")
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(path)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("python -m node.security.first_keys: expected one folder", file=sys.stderr)
        return USAGE
    try:
        made = make(Path(argv[0]))
    except OSError as error:
        print(f"cannot make keys in {argv[0]}: {error.strerror}", file=sys.stderr)
        return FAILURE
    print(f"made {', '.join(made)}" if made else "all keys are there already", file=sys.stderr)
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
