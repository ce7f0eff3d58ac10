"""The `coterie` command: start a cluster on this machine, look at it, hurt it, stop it.

This module has only arguments and exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 conflict,
5 unavailable or too late, 130 interrupted.  Commands write data to stdout and progress to stderr.
"""

import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated

import docker.errors
import requests.exceptions
import typer

from cluster.cli import commands
from cluster.cli.backup_app import backups
from cluster.cli.data_app import data
from cluster.cli.deploy_command import deploy
from cluster.cli.engine_choice import expect_no_rival, holders
from cluster.cli.many_app import many
from cluster.cli.merged_app import merged
from cluster.cli.options import Json, Name, NodeName, Wait, Yes, confirm_loss
from cluster.cli.run import Run, engine_of
from cluster.cli.view_app import rings, view
from cluster.engines import add_node, docker_image
from cluster.engines.console import Report, say
from cluster.engines.containers import docker_client
from cluster.engines.engine import TAIL_LINES, Engine, EngineChoice
from cluster.engines.launch import UpOptions
from cluster.engines.node_client import CA_VARIABLE, TOKEN_VARIABLE
from cluster.engines.topology import (
    DEFAULT_NAME,
    FAILURE,
    UNAVAILABLE,
    USAGE,
    Trouble,
    checked_name,
)

HELP = """A sharded, replicated, causally consistent key-value store: clusters on this machine.

Begin with `coterie up`, then `coterie status`; `coterie split 'alice | bob,carol'` cuts the
network, `coterie heal` mends it, `coterie down` stops all and keeps the data.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(view, name="view")
app.add_typer(rings, name="ring")
app.add_typer(deploy, name="deploy")
app.add_typer(data)
app.add_typer(many)
app.add_typer(merged)
app.add_typer(backups)
report = Report()

Choice = Annotated[EngineChoice, typer.Option("--engine", help="What runs the nodes.")]


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        say(f"coterie {version('coterie')}")
        raise typer.Exit


@app.callback()
def credentials(
    token: Annotated[
        str | None,
        typer.Option("--token", help="Of a cluster that wants one; or COTERIE_TOKEN."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="Authority of nodes with TLS; or COTERIE_CA.")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say it, and end."),
    ] = False,
) -> None:
    for variable, given in ((TOKEN_VARIABLE, token), (CA_VARIABLE, ca)):
        if given is not None:
            os.environ[variable] = str(given)


def holders_of(name: str) -> list[Engine]:
    """Return every engine that has processes, containers or data of the cluster."""
    return holders(checked_name(name), Run.home, Run.module)


@app.command()
def up(
    shards: Annotated[int | None, typer.Option(help="Replica groups. [default: 2]")] = None,
    replicas: Annotated[int | None, typer.Option(help="Nodes a shard. [default: 3]")] = None,
    engine: Choice = "auto",
    name: Name = DEFAULT_NAME,
    subnet: Annotated[str | None, typer.Option(help="As 10.11.0.0/16, or auto.")] = None,
    port: Annotated[int | None, typer.Option(help="First host port. [default: 8082]")] = None,
    env: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for every node.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw old data away.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds until it must be usable.")] = 30.0,
    retain: Annotated[bool, typer.Option("--retain", help="Keep a failed start.")] = False,
) -> None:
    """Start a cluster and wait until it can be used: `coterie up --shards 2 --replicas 3`."""
    options = UpOptions(
        shards, replicas, subnet or None, port, _settings_of(env or []), wait, retain
    )
    signal.signal(signal.SIGTERM, _interrupt)
    if fresh and (found := holders_of(name)):
        commands.throw_away(found, name, report, Run.home)
    chosen = engine_of(name, engine, report)
    expect_no_rival(chosen, Run.home, Run.module)
    commands.bring_up(chosen, options, report, Run.home)


def _settings_of(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if not pair.partition("=")[0].isidentifier() or "=" not in pair:
            raise Trouble(f'--env "{pair}" is not a setting; expected KEY=VALUE', USAGE)
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that the command rolls a start back."""
    raise KeyboardInterrupt


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Stop a cluster; its data stays, and `up` starts from it again."""
    commands.take_down(holders_of(name), name, report, Run.home)


@app.command()
def clean(name: Name = DEFAULT_NAME, yes: Yes = False) -> None:
    """Stop a cluster and throw its data away."""
    found = holders_of(name)
    if found:
        confirm_loss(f'Throw away all data of cluster "{name}"?', yes)
    commands.throw_away(found, name, report, Run.home)


@app.command()
def status(name: Name = DEFAULT_NAME, as_json: Json = False) -> None:
    """Show what every node is doing."""
    commands.status(engine_of(name), as_json)


@app.command()
def endpoints(name: Name = DEFAULT_NAME, as_json: Json = False) -> None:
    """Show the addresses of the nodes."""
    commands.endpoints(engine_of(name), as_json)


@app.command()
def logs(
    node: NodeName,
    tail: Annotated[int, typer.Option(min=0, help="How many lines.")] = TAIL_LINES,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on.")] = False,
    name: Name = DEFAULT_NAME,
) -> None:
    """Show a node's last lines: `coterie logs alice --follow`."""
    commands.logs(engine_of(name), node, tail, follow)


@app.command()
def kill(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """End a node with SIGKILL, as a crash does."""
    engine_of(name).kill(node)


@app.command()
def start(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """Start a node that was killed, on its old data."""
    engine_of(name).start(node)


@app.command()
def pause(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """Freeze a node: it holds its connections and answers no request."""
    engine_of(name).pause(node)


@app.command()
def resume(node: NodeName, name: Name = DEFAULT_NAME) -> None:
    """Let a paused node go on."""
    engine_of(name).resume(node)


@app.command()
def wipe(node: NodeName, name: Name = DEFAULT_NAME, yes: Yes = False) -> None:
    """Throw away the data of a node that does not run."""
    engine = engine_of(name)
    confirm_loss(f"Throw away the data of {node}?", yes)
    engine.wipe(node)


@app.command()
def split(
    groups: Annotated[str, typer.Argument(help="As 'alice | bob,carol'; the rest is a group.")],
    name: Name = DEFAULT_NAME,
) -> None:
    """Cut the network between groups of nodes: `coterie split 'alice | bob,carol'`."""
    commands.split(engine_of(name), groups, report)


@app.command()
def heal(name: Name = DEFAULT_NAME) -> None:
    """Heal the network."""
    engine_of(name).heal()
    report.note("healed: no node is cut off from another any more")


@app.command()
def add(name: Name = DEFAULT_NAME, wait: Wait = 30.0) -> None:
    """Start one more node, which joins the view; it owns no slots until `coterie view commit`."""
    node = add_node.add_node(engine_of(name), wait, report, Run.home)
    say(f"{node.name} {node.url} {node.address}")


@app.command()
def doctor() -> None:
    """Check whether a cluster can be started here."""
    commands.doctor(Run.home)


@app.command("image")
def build_image() -> None:
    """Build the image of a node."""
    client, problem = docker_client()
    if client is None:
        raise Trouble(f"{problem}; start Docker, or take ENGINE=process", UNAVAILABLE)
    with report.phase(f"image {docker_image.TAG}"):
        docker_image.build(client, report)


def main() -> None:
    """Run the command and end with its exit code; show the user a sentence, never a traceback."""
    try:
        app()
    except Trouble as trouble:
        report.error(str(trouble))
        sys.exit(trouble.code)
    except docker.errors.DockerException as problem:
        report.error(f"Docker refused: {getattr(problem, 'explanation', None) or problem}")
        sys.exit(FAILURE)
    except requests.exceptions.RequestException as problem:
        report.error(f"Docker stopped answering ({problem}); try again, or take ENGINE=process")
        sys.exit(UNAVAILABLE)
