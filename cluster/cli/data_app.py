"""The arguments of commands about keys: `put`, `get`, `delete`, `resolve`, `explain`, `watch`,
decoding.

They are built on the client (`coterie`), and end with its exit codes: 0 done, 1 failure, 2 usage,
3 absent, 4 siblings or condition, 5 unavailable, 6 unmet.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cluster.cli import data_commands, token_commands, watch_command
from cluster.cli.client_session import Asked
from cluster.cli.data_commands import ReadOptions, WriteOptions
from cluster.cli.options import Json, Name
from cluster.cli.run import engine_of
from cluster.cli.watch_command import WatchedKeys
from cluster.engines.engine import recalled
from cluster.engines.topology import DEFAULT_NAME, USAGE, Trouble

data = typer.Typer()
tokens = typer.Typer(help="Tokens of clients, and of sessions.", no_args_is_help=True)
contexts = typer.Typer(help="What a context says.", no_args_is_help=True)
data.add_typer(tokens, name="token")
data.add_typer(contexts, name="context")

Key = Annotated[str, typer.Argument(metavar="KEY", help="Any text of 1 to 1024 bytes.")]
Urls = Annotated[
    list[str] | None, typer.Option("--url", help="Of a node, instead of --name; may be repeated.")
]
At = Annotated[str | None, typer.Option("--node", help="Ask this node alone: alice.")]
SessionFile = Annotated[
    Path | None, typer.Option("--session", help="A file that keeps what this session has seen.")
]
Timeout = Annotated[float, typer.Option(help="Seconds, up to 300.")]
W = Annotated[
    str | None, typer.Option("--w", help="available, one, quorum, all, or a number of replicas.")
]
R = Annotated[str | None, typer.Option("--r", help="one, quorum, all, or a number of replicas.")]
OnMiss = Annotated[
    Literal["wait", "fail", "stale"] | None,
    typer.Option(help="What to do if no replica within reach has all that the session has seen."),
]
SeenOfKey = Annotated[
    str | None,
    typer.Option(
        "--context",
        help="What the write replaces: a context, `last` (what the session has seen) or `none`.",
    ),
]
IfMatch = Annotated[str | None, typer.Option(help="Only over this ETag, or `*`.")]
IfNoneMatch = Annotated[str | None, typer.Option(help="Only over no such ETag; `*`: no value.")]
TIMEOUT_S = 20.0


def asked_of(
    name: str,
    urls: list[str] | None,
    node: str | None,
    session: Path | None = None,
    timeout: float = TIMEOUT_S,
) -> Asked:
    """Return which nodes a command asks, by their URLs or by the cluster that has them."""
    if urls and node is not None:
        raise Trouble("expected --url, or --node of a cluster on this machine, not both", USAGE)
    if urls:
        return Asked(tuple(urls), {}, session, timeout)
    topology = recalled(engine_of(name))
    nodes = topology.nodes if node is None else (topology.node(node),)
    names = {each.address: each.name for each in topology.nodes}
    return Asked(tuple(each.url for each in nodes), names, session, timeout)


@data.command()
def put(
    key: Key,
    value: Annotated[
        str, typer.Argument(metavar="[VALUE|@FILE|-]", help="Text, a file, or standard input.")
    ] = "-",
    content_type: Annotated[
        str | None,
        typer.Option("--type", help="The content type. [default: by the value, see the manual]"),
    ] = None,
    w: W = None,
    ttl: Annotated[float | None, typer.Option(help="Seconds until the value expires.")] = None,
    meta: Annotated[list[str] | None, typer.Option(help="NAME=TEXT, kept with the value.")] = None,
    context: SeenOfKey = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Write a value: `coterie put cart '["milk"]'`, `coterie put picture @cat.png`."""
    options = WriteOptions(w, context, if_match, if_none_match, ttl, tuple(meta or ()))
    asked = asked_of(name, url, node, session, timeout)
    data_commands.put(asked, key, value, content_type, options, as_json)


@data.command()
def get(
    key: Key,
    r: R = None,
    on_miss: OnMiss = None,
    sibling: Annotated[str | None, typer.Option(help="The id of one of several values.")] = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Write the value of a key to standard output, as it is."""
    asked = asked_of(name, url, node, session, timeout)
    data_commands.get(asked, key, ReadOptions(r, on_miss, sibling), as_json)


@data.command()
def delete(
    key: Key,
    w: W = None,
    context: SeenOfKey = None,
    if_match: IfMatch = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Delete the value of a key."""
    asked = asked_of(name, url, node, session, timeout)
    data_commands.delete(asked, key, WriteOptions(w, context, if_match), as_json)


@data.command()
def resolve(
    key: Key,
    pick: Annotated[str | None, typer.Option(help="The id of the value that stays.")] = None,
    by: Annotated[
        Literal["union", "lww", "max", "min"] | None, typer.Option(help="Make one value of all.")
    ] = None,
    w: W = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Write one value in place of several: `coterie resolve cart --by union`."""
    asked = asked_of(name, url, node, session, timeout)
    data_commands.resolve(asked, key, pick, by, w, as_json)


@data.command()
def explain(
    key: Key,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    as_json: Json = False,
) -> None:
    """Say why a key shows what it shows: what each replica has, and what it lacks."""
    data_commands.explain(asked_of(name, url, node, session), key, as_json)


@data.command()
def watch(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="This key alone; without: all keys.")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="All keys that begin so.")] = None,
    limit: Annotated[int | None, typer.Option(help="End after so many events.")] = None,
    last_id: Annotated[str, typer.Option(help="Go on from this event: `event_id` of --json.")] = "",
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    node: At = None,
    session: SessionFile = None,
    timeout: Timeout = TIMEOUT_S,
    as_json: Json = False,
) -> None:
    """Print what changes, a line for each event, until it is interrupted."""
    wanted = WatchedKeys(key, prefix, limit, last_id)
    watch_command.watch(asked_of(name, url, node, session, timeout), wanted, as_json)


@tokens.command("create")
def create_token(
    scope: Annotated[list[str], typer.Option(help="read, write or admin; may be repeated.")],
    name: Annotated[str, typer.Option(help="Of the client, for the audit.")] = "client",
    file: Annotated[Path | None, typer.Option(help="Add the line to this file.")] = None,
) -> None:
    """Make a bearer token for a client: show it once, and the line for API_TOKENS_FILE."""
    token_commands.create(scope, name, file)


@tokens.command("decode")
def decode_token(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The text of `Kv-Token`.")],
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    as_json: Json = False,
) -> None:
    """Say what a token depends on."""
    data_commands.decode_token(asked_of(name, url, None), token, as_json)


@contexts.command("decode")
def decode_context(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="The text of `Kv-Context`.")],
    key: Annotated[str | None, typer.Option(help="Refuse it unless it is of this key.")] = None,
    name: Name = DEFAULT_NAME,
    url: Urls = None,
    as_json: Json = False,
) -> None:
    """Say what a context has seen of its key."""
    data_commands.decode_context(asked_of(name, url, None), context, key, as_json)
