"""Options and questions that several commands share."""

import sys
from typing import Annotated

import typer

from cluster.engines.topology import USAGE, Trouble

Name = Annotated[str, typer.Option("--name", help="Which cluster.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="As in `coterie status`: alice.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[float, typer.Option(help="Seconds until it must be done.")]


def confirm(question: str, yes: bool) -> None:
    """Ask for confirmation on a terminal; elsewhere the command itself confirms."""
    if not yes and _is_on_terminal():
        typer.confirm(question, abort=True, err=True)


def confirm_loss(question: str, yes: bool) -> None:
    """Ask before data is thrown away; where no one can be asked, want --yes."""
    if not yes and not _is_on_terminal():
        raise Trouble(f"{question} Expected --yes, because there is no terminal to ask at", USAGE)
    confirm(question, yes)


def _is_on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
