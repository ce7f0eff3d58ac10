"""What `coterie view` does: show the view, plan another, commit it, watch it, take it back.

All of it is asked of the nodes over HTTP (/v1/view): a plan is known to the node that made it, so
every node that runs is tried in turn.  Nodes are named as in `coterie status`, or by address.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich import filesize
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cluster import probe
from cluster.engine import Engine, State, recalled
from cluster.report import Report, say, table
from cluster.topology import CONFLICT, FAILURE, NOT_FOUND, UNAVAILABLE, USAGE, Topology, Trouble

VIEW, JOB = "/v1/view", "/v1/view/job"
CODES = {400: USAGE, 404: NOT_FOUND, 409: CONFLICT, 503: UNAVAILABLE, 0: UNAVAILABLE}
ANSWER_TIMEOUT_S = 10.0
SLOTS = 4096

Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """The change the user asks for; what is None stays as it is."""

    shards: int | None = None
    nodes: str | None = None
    add: str | None = None
    remove: str | None = None
    lost: str | None = None
    force: bool = False

    def wish(self, topology: Topology) -> Document:
        """The change as a node wants to be told of it."""
        lists = {"nodes": self.nodes, "add": self.add, "remove": self.remove, "lost": self.lost}
        wish: Document = {k: addresses(text, topology) for k, text in lists.items() if text}
        if self.shards is not None:
            wish["shards"] = self.shards
        return {**wish, "force": True} if self.force else wish

    @property
    def is_empty(self) -> bool:
        return self == Change(force=self.force)


def addresses(text: str, topology: Topology) -> list[str]:
    """The addresses of 'alice,10.10.0.9:8090'."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    return [word if ":" in word else topology.node(word).address for word in words]


class Names:
    """How nodes are shown: by name where the cluster has one for the address."""

    def __init__(self, topology: Topology) -> None:
        self._names = {node.address: node.name for node in topology.nodes}

    def __call__(self, address: str) -> str:
        return self._names.get(address, address)

    def all(self, nodes: Iterable[str]) -> str:
        return " ".join(map(self, nodes)) or "-"

    def within(self, sentence: str) -> str:
        """A sentence of a node, with names for addresses."""
        for address, name in self._names.items():
            sentence = sentence.replace(address, name)
        return sentence


# ------------------------------------------------------------------ asking


def running_ports(engine: Engine) -> list[int]:
    """The ports of the nodes that run; there must be one."""
    states = engine.states()
    nodes = recalled(engine).nodes
    ports = [node.host_port for node in nodes if states[node.name] == State.RUNNING]
    if not ports:
        raise Trouble(f'no node of cluster "{engine.name}" runs', UNAVAILABLE)
    return ports


def asked(
    engine: Engine,
    method: str,
    path: str,
    body: object = None,
    passed_on: Callable[[int, Document], bool] = lambda status, said: False,
) -> Document:
    """The answer of the first node that gives one; what it refuses is trouble.

    A node that does not answer, or whose refusal is `passed_on`, leaves it to the next.
    """
    status, said = 0, dict[str, Any](error="no node answers")
    for port in running_ports(engine):
        status, text = probe.ask(method, port, path, body, ANSWER_TIMEOUT_S)
        said = _parsed(text)
        if status and not passed_on(status, said):
            break
    if status in (200, 202):
        return said
    sentence = Names(recalled(engine)).within(str(said.get("error", f"it answers {status}")))
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
    """Have a node plan the change, and print what it would do."""
    topology = recalled(engine)
    document = asked(engine, "POST", f"{VIEW}?plan=true", change.wish(topology))
    if as_json:
        say(json.dumps(document, indent=1))
    else:
        for line in plan_lines(document, Names(topology)):
            say(line)
    return document


def plan_lines(document: Document, names: Names) -> Iterable[str]:
    """The plan for people: before and after, what moves, what to think of first."""
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
    """Go back to the view before, while the change is under way."""

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
        done = probe.until(lambda: is_done(tell), wait_s)
    if not done:
        waiting = _waiting(job_of(engine), names)
        raise Trouble(f"not done within {wait_s:g} s; waiting for: {waiting}", UNAVAILABLE)


def job_of(engine: Engine) -> Document:
    """The newest job that a node tells of, with the pace of all nodes together."""
    answers = probe.everyone(lambda port: probe.ask("GET", port, JOB), running_ports(engine))
    jobs = [_parsed(text) for status, text in answers if status == 200]
    if not jobs:
        raise Trouble("no node tells how far the change is", UNAVAILABLE)
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
    """Give who shows a job: a bar that moves on a terminal, elsewhere lines."""
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
    """The job as lines, one for each step that it makes."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = ""

    def tell(self, job: Document, waiting: str) -> None:
        step = f"{job['phase']} {int(job['progress'] * 10)}"
        if step != self._last:
            self._last = step
            more = f": {waiting}" if waiting else ""
            self._report.note(f"view {job['view']} {job['phase']} {job['progress']:.0%}{more}")
