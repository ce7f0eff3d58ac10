"""The arguments of `coterie backup` and `coterie restore`."""

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli import backup_commands
from cluster.cli.data_app import TIMEOUT_S, At, Timeout, Urls, W, asked_of
from cluster.cli.options import Json, Name
from cluster.engines.topology import DEFAULT_NAME, USAGE, Trouble

backups = typer.Typer()
VERIFY = "verify"


@backups.command()
def backup(
    words: Annotated[
        list[str], typer.Argument(metavar="[verify] DIR", help="A new directory; or a backup.")
    ],
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on without nodes that cannot be reached.")
    ] = False,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Write all that the cluster holds into a directory, while it serves; or check a backup."""
    is_check = len(words) > 1 and words[0] == VERIFY
    if len(words) != 1 + is_check:
        raise Trouble("expected `coterie backup DIR`, or `coterie backup verify DIR`", USAGE)
    if is_check:
        backup_commands.verify(Path(words[1]), as_json)
    else:
        asked = asked_of(name, url, node, None, timeout)
        backup_commands.backup(asked, Path(words[0]), partial, as_json)


@backups.command()
def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A backup.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Into a cluster that has keys: add to them.")
    ] = False,
    w: W = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Check a backup, and write all that it has into a cluster of any shape."""
    asked = asked_of(name, url, node, None, timeout)
    backup_commands.restore(asked, directory, merge, w, as_json)
