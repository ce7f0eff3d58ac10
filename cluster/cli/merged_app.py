"""The arguments of `coterie counter` and `coterie set`."""

import re
from typing import Annotated

import typer

from cluster.cli import merged_commands
from cluster.cli.data_app import TIMEOUT_S, At, Key, SessionFile, Timeout, Urls, asked_of
from cluster.cli.options import Json, Name
from cluster.engines.topology import DEFAULT_NAME, USAGE, Trouble

merged = typer.Typer()
INTEGER = re.compile(r"-?[0-9]{1,19}")
Level = Annotated[
    str | None,
    typer.Option("--level", help="How many replicas: one, quorum, all, a number; available."),
]
Delete = Annotated[bool, typer.Option("--delete", help="Delete it: reset what is seen of it.")]


@merged.command(context_settings={"ignore_unknown_options": True})
def counter(
    key: Key,
    change: Annotated[
        list[str] | None, typer.Argument(metavar="[add NUMBER]", help="What to add: add -3.")
    ] = None,
    delete: Delete = False,
    level: Level = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Read a counter, or add to it: `coterie counter visits add 5`."""
    amount = _amount_in(change or [])
    if delete and change:
        raise Trouble("expected --delete alone, or `add NUMBER`: a delete adds nothing", USAGE)
    asked = asked_of(name, url, node, session, timeout)
    if delete:
        merged_commands.delete(asked, "counters", key, level)
    else:
        merged_commands.counter(asked, key, amount, level, as_json)


def _amount_in(words: list[str]) -> int | None:
    """Return what `add NUMBER` adds; None where nothing is said."""
    if not words:
        return None
    if len(words) == 2 and words[0] == "add" and INTEGER.fullmatch(words[1]):
        return int(words[1])
    raise Trouble(f"expected `add NUMBER`, not {' '.join(words)!r}", USAGE)


@merged.command(name="set")
def set_(
    key: Key,
    add: Annotated[
        list[str] | None, typer.Option(help="An element; may be repeated. 7, true, null are JSON.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(help="An element; may be repeated.")] = None,
    delete: Delete = False,
    level: Level = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Read a set, or change it: `coterie set tags --add red --remove blue`."""
    if delete and (add or remove):
        raise Trouble("expected --delete alone, or --add and --remove", USAGE)
    asked = asked_of(name, url, node, session, timeout)
    if delete:
        merged_commands.delete(asked, "sets", key, level)
    else:
        merged_commands.change_set(asked, key, add or [], remove or [], level, as_json)
