"""What `coterie view` does: show the view, plan another, commit it, watch it, take it back.

The commands ask the nodes over HTTP (/v1/view).  A plan is known only to the node that made it, so
they try every running node in turn.  A user names nodes as `coterie status` does, or by address.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich import filesize
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cluster.engines import node_client
from cluster.engines.console import Report, say, table
from cluster.engines.engine import Engine, NodeState, recalled
from cluster.engines.topology import (
    CONFLICT,
    FAILURE,
    NOT_FOUND,
    UNAVAILABLE,
    USAGE,
    Topology,
    Trouble,
)

VIEW, JOB = "/v1/view", "/v1/view/job"
CODES = {400: USAGE, 404: NOT_FOUND, 409: CONFLICT, 503: UNAVAILABLE, 0: UNAVAILABLE}
FORCED = '"force": true'  # the field of the nodes' API; here it is a flag
ANSWER_TIMEOUT_S = 10.0
SLOTS = 4096

Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """The change that the user asks for; a field of None stays as it is.

    Each text of a list names nodes, with commas between them.
    """

    shards: int | None = None
    nodes: list[str] | None = None
    add: list[str] | None = None
    remove: list[str] | None = None
    lost: list[str] | None = None
    force: bool = False

    def request(self, topology: Topology) -> Document:
        """Return the change in the form that a node reads."""
        lists = {"nodes": self.nodes, "add": self.add, "remove": self.remove, "lost": self.lost}
        request: Document = {k: addresses(said, topology) for k, said in lists.items() if said}
        if self.shards is not None:
            request["shards"] = self.shards
        return {**request, "force": True} if self.force else request

    @property
    def is_empty(self) -> bool:
        return self == Change(force=self.force)


def addresses(texts: Iterable[str], topology: Topology) -> list[str]:
    """Return the addresses that texts such as 'alice,10.10.0.9:8090' name."""
    words = [word.strip() for text in texts for word in text.split(",") if word.strip()]
    return [word if ":" in word else topology.node(word).address for word in words]


class Names:
    """The names under which users see nodes: by name where the cluster has one for the address."""

    def __init__(self, topology: Topology) -> None:
        self._names = {node.address: node.name for node in topology.nodes}

    def __call__(self, address: str) -> str:
        return self._names.get(address, address)

    def all(self, nodes: Iterable[str]) -> str:
        return " ".join(map(self, nodes)) or "-"

    def within(self, sentence: str) -> str:
        """Return a node's sentence with names for addresses, and the flag for the field of JSON."""
        sentence = sentence.replace(f"say {FORCED}", "add --force").replace(FORCED, "--force")
        for address, name in self._names.items():
            sentence = sentence.replace(address, name)
        return sentence


# ------------------------------------------------------------------ asking


def running_ports(engine: Engine) -> list[int]:
    """Return the ports of the running nodes; raise Trouble if none runs."""
    states = engine.states()
    nodes = recalled(engine).nodes
    ports = [node.host_port for node in nodes if states[node.name] == NodeState.RUNNING]
    if not ports:
        raise Trouble(f'no node of cluster "{engine.name}" runs; start one', UNAVAILABLE)
    return ports


def asked(
    engine: Engine,
    method: str,
    path: str,
    body: object = None,
    passed_on: Callable[[int, Document], bool] = lambda status, said: False,
) -> Document:
    """Return the answer of the first node that gives one; raise Trouble for what it refuses.

    A node that does not answer leaves the question to the next one, and so does one that gives a
    refusal in `passed_on`.
    """
    status, said = 0, dict[str, Any](error="no node answers")
    for port in running_ports(engine):
        status, text = node_client.ask(method, port, path, body, ANSWER_TIMEOUT_S)
        said = _parsed(text)
        if status and not passed_on(status, said):
            break
    if status in (200, 202):
        return said
    why = node_client.REFUSALS.get(status) or str(said.get("error", f"it answers {status}"))
    sentence = Names(recalled(engine)).within(why)
    raise Trouble(sentence, CODES.get(status, FAILURE))


def _parsed(text: str) -> Document:
    try:
        said = json.loads(text)
    except ValueError:
        return {"error": text.strip() or "no answer"}
    return said if isinstance(said, dict) else {"error": text}


# ------------------------------------------------------------------ show


def show(engine: Engine, as_json: bool) -> None:
    """Print the view, and how far it is."""
    document = asked(engine, "GET", VIEW)
    if as_json:
        say(json.dumps(document, indent=1))
        return
    names, view = Names(recalled(engine)), document["view"]
    under_way = "settled" if document["settled"] else "a change is under way: `coterie view watch`"
    say(f"view {view['id']}, {under_way}")
    rows = [(shard, names.all(nodes), _slots(view, shard)) for shard, nodes in _shards(view)]
    say(table(("SHARD", "MEMBERS", "SLOTS"), rows))
    idle = [n for n in view["nodes"] if not any(n in nodes for _, nodes in _shards(view))]
    if idle:
        say(f"in no shard: {names.all(idle)}")
    if not document["settled"]:
        heads = ("NODE", "UP", "IN THE VIEW", "LACKS", "HOLDS FOR OTHERS", "DONE")
        keys = ("alive", "in_view", "lacking", "leaving", "done")
        nodes = document["nodes"].items()
        say(table(heads, [(names(a), *(_cell(node[key]) for key in keys)) for a, node in nodes]))


def _shards(view: Document) -> list[tuple[str, list[str]]]:
    return list(view["shards"].items())


def _slots(view: Document, shard: str) -> str:
    return str(view["slots"].get(shard, 0))


def _cell(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


# ------------------------------------------------------------------ plan and commit


def plan(engine: Engine, change: Change, as_json: bool) -> Document:
    """Let a node plan the change, and print what it would do."""
    topology = recalled(engine)
    document = asked(engine, "POST", f"{VIEW}?plan=true", change.request(topology))
    if as_json:
        say(json.dumps(document, indent=1))
    else:
        for line in plan_lines(document, Names(topology)):
            say(line)
    return document


def plan_lines(document: Document, names: Names) -> Iterable[str]:
    """Return the plan for people: before and after, what moves, and warnings."""
    before, after, moves = document["before"], document["after"], document["moves"]
    shards = list(dict.fromkeys((*before["shards"], *after["shards"])))
    rows = [
        (
            shard,
            names.all(before["shards"].get(shard, ())),
            names.all(after["shards"].get(shard, ())),
            _slots(before, shard),
            _slots(after, shard),
        )
        for shard in shards
    ]
    yield table(("SHARD", "BEFORE", "AFTER", "SLOTS", "THEN"), rows)
    load = ""
    if moves["keys"] is not None:
        load = f", about {moves['keys']} keys of {filesize.decimal(moves['bytes'])}"
    share = f"{moves['slots'] / SLOTS:.0%} of all"
    yield f"moving: {moves['slots']} slots ({share}; ideal {moves['ideal_slots']}){load}"
    yield f"copying: {moves['copied_slots']} slots to nodes that are new to them"
    for warning in document["warnings"]:
        yield f"! {names.within(warning)}"
    for shard, lost in document["lost"].items():
        keys = "its" if lost["keys"] is None else f"its {lost['keys']}"
        yield f"! {shard} may be lost with {keys} keys: {names.all(lost['members'])}"


def is_change(document: Document) -> bool:
    """Whether the plan changes anything."""
    return "nothing would change" not in document["warnings"]


def commit(engine: Engine, name: str, force: bool, report: Report) -> None:
    """Commit a plan at the node that made it."""
    body = {"plan": name, "force": True} if force else {"plan": name}
    said = asked(engine, "POST", VIEW, body, lambda status, _: status == 404)
    report.note(f"view {said['job']['view']} is in force; its data moves behind it")


def abort(engine: Engine, report: Report) -> None:
    """Go back to the previous view, while the change is under way."""

    def does_not_remember(status: int, said: Mapping[str, Any]) -> bool:
        return status == 409 and "ask another" in said.get("error", "")

    said = asked(engine, "DELETE", JOB, passed_on=does_not_remember)
    report.note(f"view {said['job']['view']} takes it back; `coterie view watch` shows how far")


# ------------------------------------------------------------------ watch


Teller = Callable[[Document, str], None]


def watch(engine: Engine, wait_s: float, report: Report) -> None:
    """Show the job until it is done."""
    names = Names(recalled(engine))

    def is_done(tell: Teller) -> bool | None:
        job = job_of(engine)
        tell(job, _waiting(job, names))
        return job["phase"] == "done" or None

    with teller(report) as tell:
        done = node_client.until(lambda: is_done(tell), wait_s)
    if not done:
        waiting = _waiting(job_of(engine), names)
        raise Trouble(f"not done within {wait_s:g} s; waiting for: {waiting}", UNAVAILABLE)


def job_of(engine: Engine) -> Document:
    """Return the newest job that a node tells of, with the pace of all nodes together."""
    answers = node_client.everyone(
        lambda port: node_client.ask("GET", port, JOB), running_ports(engine)
    )
    jobs = [_parsed(text) for status, text in answers if status == 200]
    if not jobs:
        raise Trouble("no node tells how far the change is; see `coterie status`", UNAVAILABLE)
    newest = max(jobs, key=lambda job: (_number(job["view"]), job["phase"] != "done"))
    pace = sum(job["items_per_s"] for job in jobs if job["view"] == newest["view"])
    return {**newest, "items_per_s": pace}


def _number(view_id: str) -> tuple[int, str]:
    number, _, proposer = view_id.partition(".")
    return int(number), proposer


def _waiting(job: Document, names: Names) -> str:
    return "; ".join(f"{names(one['node'])} {one['why']}" for one in job["waiting_for"])


@contextmanager
def teller(report: Report) -> Iterator[Teller]:
    """Yield what shows a job: a bar that moves on a terminal, lines elsewhere."""
    if not report.console.is_terminal:
        yield Lines(report).tell
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[pace]:>8.0f} items/s  [dim]{task.fields[waiting]}[/dim]"),
    )
    with Progress(*columns, console=report.console) as progress:
        task = progress.add_task("", total=1.0, pace=0.0, waiting="")
        room = max(20, report.console.width - 70)

        def tell(job: Document, waiting: str) -> None:
            fields = {"pace": job["items_per_s"], "waiting": waiting[:room]}
            progress.update(task, description=job["phase"], completed=job["progress"], **fields)

        yield tell


class Lines:
    """Shows the job as lines, one for each step."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = ""

    def tell(self, job: Document, waiting: str) -> None:
        step = f"{job['phase']} {int(job['progress'] * 10)}"
        if step != self._last:
            self._last = step
            more = f": {waiting}" if waiting else ""
            self._report.note(f"view {job['view']} {job['phase']} {job['progress']:.0%}{more}")
