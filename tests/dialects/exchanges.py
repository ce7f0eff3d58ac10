"""Plays whole HTTP exchanges against a pure dialect, as golden text.

A block is a request line, header lines, a body.  `at:` names the asked node, `outcome:` the
scripted answers of the core (with commas between them), `view:` the view that the node knows,
`then:` the one it knows when a change is adopted, `change:` how far it is, `hash: unknown` that it
has yet to count what it holds.  Below `----` come the dialect's requests to the core, if any, or
its waits; then the status, the headers and the body of its reply, or the first events.  Lines with
# are comments.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
from msgspec.structs import replace
from multidict import CIMultiDict, MultiDict

from node.api.admin.health import native
from node.api.admin.view_jobs import views
from node.api.contract import (
    Ask,
    BodyLines,
    Call,
    Dialect,
    Events,
    Facts,
    Feed,
    Limits,
    Reaction,
    Reply,
    Steps,
    Talk,
)
from node.api.dialects.admin_view.handlers import admin_view
from node.api.dialects.asg4.handlers import asg4
from node.api.dialects.causal.handlers import causal
from node.api.dialects.data_view.handlers import data_view
from node.api.dialects.dynamo.handlers import dynamo
from node.api.dialects.keys_view.handlers import keys_view
from node.api.dialects.peers.handlers import peers
from node.api.dialects.shard_view.handlers import shard_view
from node.api.native.key_values import key_values
from node.api.native.policies import policies
from node.core.model.token import encode
from node.core.model.view import View
from node.core.protocol.inspection import JoinClocks
from node.core.protocol.operations import (
    ANSWER_S,
    Adopted,
    Count,
    Forget,
    Get,
    List,
    ListKeys,
    Look,
    Outcome,
    Peek,
    Propose,
    Put,
    Request,
    StoreLocally,
)
from node.core.protocol.watching import ListChanges
from node.shell.http.router import Table, decoded
from tests.dialects.answering import answering
from tests.dialects.nodes import NODES, WRITTEN, facts_at
from tests.dialects.outcomes import OUTCOMES

HERE = Path(__file__).parent
DIALECTS: dict[str, Callable[[], Dialect]] = {
    "asg4": asg4,
    "asg3": partial(asg4, "updated", "asg3"),
    "admin_view": admin_view,
    "causal": causal,
    "data_view": data_view,
    "dynamo": dynamo,
    "keys_view": keys_view,
    "shard_view": shard_view,
    "peers": peers,
    "native": native,
    "kv": key_values,
    "policies": policies,
    "views": views,
}
SETTINGS = ("at", "outcome", "wrong", "view", "then", "change", "hash")
PLAIN = {"at": NODES[0], "view": "first"}
OF_DIALECT = {"data_view": {"at": WRITTEN[0], "view": "called"}}
USUAL = ("application/json", "text/plain; charset=utf-8")  # content types that are not shown
METHODS = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")

LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)


@dataclass
class Block:
    """One request of a text, read line by line."""

    method: str = ""
    target: str = ""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    adopted: list[View] = field(default_factory=list)

    def read(self, line: str) -> None:
        name, colon, text = line.partition(": ")
        if line.startswith("#"):
            return
        if line.split(" ")[0] in METHODS and not self.method:
            self.method, self.target = line.split(" ", 1)
        elif name in SETTINGS and colon:
            self.settings[name] = text
        elif colon and name.replace("-", "").isalpha():
            self.headers.add(name, text)
        else:
            self.body += line


def played(text: str, dialect: Dialect) -> str:
    """Return the text with what this dialect answers below each `----`."""
    table = Table([dialect])
    return "\n\n".join(_played_block(block, table, dialect) for block in text.split("\n\n"))


def played_file(path: Path) -> str:
    return played(path.read_text().rstrip("\n"), DIALECTS[path.stem]()) + "\n"


def _played_block(text: str, table: Table, dialect: Dialect) -> str:
    above, rule, _ = text.partition("----")
    if not rule:
        return text
    block = Block()
    for line in above.splitlines():
        block.read(line)
    said = said_to(block, table, dialect)
    lines: list[str] = []
    outcomes = [OUTCOMES[name] for name in block.settings.get("outcome", "").split(", ") if name]
    if isinstance(said, Ask):
        lines.append(_asked(said.request))
        said = said.say(outcomes[0])
    if isinstance(said, Talk):
        said, lines = _talked(said.steps, outcomes, block)
    if isinstance(said, Events):
        lines += [f"events every {said.every_s:g} s", *_told(said)]
        return f"{above}----\n" + "\n".join(lines)
    assert not isinstance(said, BodyLines | Feed), "these have tests of their own"
    return f"{above}----\n" + "\n".join([*lines, *_lines_of(said)])


def _talked(steps: Steps, outcomes: list[Outcome], block: Block) -> tuple[Reply, list[str]]:
    """Return the reply, with the requests and waits before it."""
    lines: list[str] = []
    rest = iter(outcomes)
    try:
        wanted = next(steps)
        while True:
            asked = () if isinstance(wanted, float) else wanted
            lines += [_asked(request) for request in asked]
            lines += [f"waits {wanted:g} s"] if isinstance(wanted, float) else []
            told = [next(rest) for _ in asked]
            block.adopted += [each.view for each in told if isinstance(each, Adopted)]
            if "then" in block.settings and block.adopted:
                block.settings["view"] = block.settings["then"]
            wanted = steps.send(told)
    except StopIteration as end:
        return end.value, lines


def _told(events: Events) -> list[str]:
    """Return what the first polls give."""
    told = [events.poll() for _ in range(3)]
    return ["the end" if said is None else said.decode().rstrip("\n") or "nothing" for said in told]


def said_to(block: Block, table: Table, dialect: Dialect) -> Reaction:
    path, _, query = block.target.partition("?")
    endpoint, placeholders = table.find(block.method, path) or (None, {})
    if endpoint is None or endpoint.handler is None:
        return dialect.not_found(path)
    words = decoded(placeholders)
    assert words is not None

    def facts() -> Facts:
        settings = {**PLAIN, **OF_DIALECT.get(dialect.name, {}), **block.settings}
        wrong, change = settings.get("wrong", ""), settings.get("change", "done")
        known = facts_at(settings["at"], wrong, settings["view"], change)
        for new in block.adopted:  # the node has it, whatever its shards are
            view = replace(known.view, number=new.number, proposer=new.proposer)
            known = replace(known, view=view)
        return replace(known, content=lambda: None) if "hash" in settings else known

    queries = MultiDict(parse_qsl(query, keep_blank_values=True))
    body = block.body.encode()
    call = Call(block.method, words, queries, block.headers, body, facts, LIMITS)
    return answering(endpoint.handler, endpoint.reword)(call)


def _asked(request: Request) -> str:
    if isinstance(request, Count):
        return f"asks count of shard {request.shard}"
    if isinstance(request, Propose):
        return _proposed(request)
    if isinstance(request, Look):
        return f"looks at {request.limit} keys behind {request.after!r}"
    if isinstance(request, Forget):
        return "asks to forget everything"
    if isinstance(request, Peek):
        return f"asks what is here of {request.key!r}"
    if isinstance(request, StoreLocally):
        only = ", only if it is new" if request.only_new else ""
        clock = orjson.dumps(request.clock).decode()
        return f"asks to keep {request.key!r} = {request.value.decode()} here: {clock}{only}"
    if isinstance(request, JoinClocks):
        return f"asks what all nodes have: wait {request.timeout_s:g} s"
    if isinstance(request, ListChanges):
        return f"asks changes of {request.slots.bit_count()} slots from {request.start!r} on"
    token = encode(request.token).decode() if request.token else "nothing seen"
    if isinstance(request, List):
        return f"asks list: {request.mode}, wait {request.wait_s:g} s; {token}"
    if isinstance(request, ListKeys):
        part = f"from {request.start!r} to before {request.end!r}, about {request.limit}"
        return f"asks keys of {request.slots.bit_count()} slots {part}; {token}"
    if isinstance(request, Get):
        where = f"{request.mode}, {request.scope}, {request.copies} copy, wait {request.wait_s:g} s"
        mend = ", mend" if request.repair else ""
        mend += f", raw in {request.timeout_s:g} s" if request.raw else ""
        mend += ", stale" if request.stale else ""
        return f"asks get of {request.key!r}: {where}{mend}; {token}"
    assert isinstance(request, Put), "no exchange asks for an explanation"
    value = "a delete" if request.value is None else request.value.decode()
    how = f"{request.mode}, {request.level}, refuse unmet {request.refuse_when.unmet}"
    how += ", if present" if request.refuse_when.absent else ""
    how += ", clocked" if request.clocked else ""
    how += ", after all that is shown" if request.after_all else ""
    how += f", context {request.context}" if request.context else ""
    condition = request.refuse_when
    how += f", if not other than {condition.other_than}" if condition.other_than is not None else ""
    how += f", if none of {condition.one_of}" if condition.one_of else ""
    how += f", {request.labels}" if request.labels else ""
    how += f", in {request.timeout_s:g} s" if request.timeout_s != ANSWER_S else ""
    how += f", until {request.expires / 1000}" if request.expires else ""
    if request.identity:
        how += f", as {request.identity}"
    return f"asks put of {request.key!r} = {value}: {how}; {token}"


def _proposed(propose: Propose) -> str:
    """Spell the layout, with what is not plain: nodes in no shard, lost nodes."""
    layout = propose.layout
    slots = Counter(layout.owner)
    shards = [
        f"{shard.id} = {' '.join(shard.members)} with {slots[place]} slots"
        for place, shard in enumerate(layout.shards)
    ]
    members = {node for shard in layout.shards for node in shard.members}
    idle = [node for node in layout.nodes if node not in members]
    more = [f"in no shard: {' '.join(idle)}"] if idle else []
    more += [f"at: {' '.join(place or 'nowhere' for place in layout.addresses)}"] * bool(
        layout.addresses
    )
    more += [f"lost: {' '.join(propose.lost)}"] if propose.lost else []
    if layout.policies is not None:
        more += [f"policies: {' '.join(map(str, layout.policies)) or 'none'}"]
    return "; ".join([f"asks view instead of {propose.base}: {', '.join(shards)}", *more])


def _lines_of(reply: Reply) -> list[str]:
    headers = [f"{name}: {value}" for name, value in reply.headers.items()]
    assert not any("\n" in header or "\r" in header for header in headers)
    kind = [f"Content-Type: {reply.content_type}"] if reply.content_type not in USUAL else []
    return [str(reply.status), *headers, *kind, *reply.body.decode().splitlines()]
