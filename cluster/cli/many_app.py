"""The arguments of commands about many keys: `keys`, `bulk`, `snapshot`."""

from typing import Annotated, Literal

import typer

from cluster.cli import many_commands
from cluster.cli.data_app import TIMEOUT_S, At, OnMiss, R, SessionFile, Timeout, Urls, W, asked_of
from cluster.cli.many_commands import BulkOptions, ListOptions
from cluster.cli.options import Json, Name
from cluster.engines.topology import DEFAULT_NAME

many = typer.Typer()

By = Annotated[
    Literal["union", "lww", "max", "min"] | None,
    typer.Option(help="Make one value of several, and show that."),
]


@many.command()
def keys(
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    after: Annotated[str, typer.Option(help="Only keys behind this one.")] = "",
    delimiter: Annotated[
        str | None, typer.Option(help="Show the keys in groups, up to this text.")
    ] = None,
    counts: Annotated[bool, typer.Option("--counts", help="Count the keys of groups.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Go on without shards that do not answer.")
    ] = False,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """List the keys of all shards: `coterie keys --prefix users/`."""
    options = ListOptions(prefix, after, delimiter, counts, partial)
    many_commands.keys(asked_of(name, url, node, session, timeout), options, as_json)


@many.command()
def bulk(
    source: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="Operations, one JSON object in a line.")
    ] = "-",
    prefix: Annotated[str, typer.Option(help="Put before the key of each operation.")] = "",
    w: W = None,
    r: R = None,
    on_miss: OnMiss = None,
    by: By = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Carry out many operations: lines as {"op":"put","key":"cart","value":["milk"]}."""
    options = BulkOptions(prefix, w, r, on_miss, by)
    many_commands.bulk(asked_of(name, url, node, session, timeout), source, options, as_json)


@many.command()
def snapshot(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Up to 100 keys.")],
    by: By = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Show several keys as of one causal moment: `coterie snapshot album photo`."""
    many_commands.snapshot(asked_of(name, url, node, session, timeout), keys, by, as_json)
