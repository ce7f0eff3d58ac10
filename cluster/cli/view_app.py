"""The arguments of `coterie view` and `coterie ring`."""

from typing import Annotated

import typer

from cluster.cli import ring_commands, view_commands
from cluster.cli.options import Json, Name, NodeName, Wait, Yes, confirm
from cluster.cli.run import Run, engine_of
from cluster.engines.console import Report, say
from cluster.engines.topology import DEFAULT_NAME, USAGE, Trouble

view = typer.Typer(
    help="Show the view, and change it while the cluster runs.", no_args_is_help=True
)
rings = typer.Typer(help="The ring of nodes, and what of it holds a key.", no_args_is_help=True)
report = Report()

Shards = Annotated[int | None, typer.Option(min=1, help="How many shards. [default: as now]")]
Words = list[str] | None  # each may name several nodes, and each option may be repeated
Nodes = Annotated[Words, typer.Option(help="All of them: alice,bob,10.10.0.9:8090.")]
Add = Annotated[Words, typer.Option(help="Nodes that come.")]
Remove = Annotated[Words, typer.Option(help="Nodes that go.")]
Lost = Annotated[Words, typer.Option(help="Nodes whose disks are given up.")]
Force = Annotated[bool, typer.Option("--force", help="Although something may be lost.")]


@view.command("show")
def show_view(name: Name = DEFAULT_NAME, as_json: Json = False) -> None:
    """Show shards, members and slots, and how far the last change is."""
    view_commands.show(engine_of(name), as_json)


@view.command("plan")
def plan_view(
    shards: Shards = None,
    nodes: Nodes = None,
    add: Add = None,
    remove: Remove = None,
    lost: Lost = None,
    force: Force = False,
    name: Name = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Show what a change would do, and change nothing: `coterie view plan --shards 3`."""
    change = view_commands.Change(shards, nodes, add, remove, lost, force)
    document = view_commands.plan(engine_of(name), change, as_json)
    if not as_json and view_commands.is_change(document):
        say(f"coterie view commit {document['plan']}")


@view.command("commit")
def commit_view(
    plan: Annotated[str | None, typer.Argument(help="As `coterie view plan` named it.")] = None,
    shards: Shards = None,
    nodes: Nodes = None,
    add: Add = None,
    remove: Remove = None,
    lost: Lost = None,
    force: Force = False,
    yes: Yes = False,
    name: Name = DEFAULT_NAME,
) -> None:
    """Change the view by a plan, or make a plan, show it, and commit that."""
    change = view_commands.Change(shards, nodes, add, remove, lost, force)
    if (plan is None) == change.is_empty:
        raise Trouble("expected the name of a plan, or what to change, as in --shards 3", USAGE)
    engine = engine_of(name)
    if plan is None:
        document = view_commands.plan(engine, change, as_json=False)
        if not view_commands.is_change(document):
            return
        confirm("Change the view?", yes)
        plan = str(document["plan"])
    view_commands.commit(engine, plan, force, report)


@view.command("watch")
def watch_view(name: Name = DEFAULT_NAME, wait: Wait = 600.0) -> None:
    """Show how far the change is, until it is done."""
    view_commands.watch(engine_of(name), wait, report)


@view.command("abort")
def abort_view(name: Name = DEFAULT_NAME, yes: Yes = False) -> None:
    """Go back to the previous view, as long as the change is under way."""
    confirm("Take the change back?", yes)
    view_commands.abort(engine_of(name), report)


@rings.command("add-node")
def add_to_ring(name: Name = DEFAULT_NAME, wait: Wait = 60.0) -> None:
    """Start one more node, give it its share, and wait until it has the data."""
    node = ring_commands.add_node(engine_of(name), wait, report, Run.home)
    say(f"{node.name} {node.url} {node.address}")


@rings.command("remove-node")
def remove_from_ring(
    node: NodeName, name: Name = DEFAULT_NAME, wait: Wait = 60.0, yes: Yes = False
) -> None:
    """Take a node off the ring, and stop it when the others have its data."""
    confirm(f"Take {node} off the ring?", yes)
    ring_commands.remove_node(engine_of(name), node, wait, report)


@rings.command("nodes")
def nodes_of_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Any text.")],
    how_many: Annotated[int, typer.Option("-n", min=1, help="How many of them.")] = 3,
    name: Name = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Show the nodes that answer for a key, in order: `coterie ring nodes cart -n 3`."""
    ring_commands.show_nodes(engine_of(name), key, how_many, as_json)


@rings.command("containers")
def containers_of_ring(name: Name = DEFAULT_NAME, as_json: Json = False) -> None:
    """Show what runs each node."""
    ring_commands.show_containers(engine_of(name), as_json)
