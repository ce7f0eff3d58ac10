"""Plays whole HTTP exchanges against a pure dialect, as golden text.

A block is a request line, header lines, a body; `at:` names the node that is asked, `outcome:` one
of the scripted answers of the core.  Below `----` stands what the dialect asked of the core, if
anything, then the status, the headers and the body of its reply.  Lines with # are for people.
"""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

from node.core.messages import (
    Absent,
    Count,
    Counted,
    Found,
    Outcome,
    Put,
    Request,
    Stored,
    Unavailable,
    Unmet,
)
from node.core.siblings import Past
from node.core.token import Token, encode
from node.core.view import first_view
from node.dialects.asg4 import asg4
from node.dialects.contract import Ask, Call, Dialect, Facts, Limits, Reply
from node.dialects.native import native
from node.shell.routes import Table, decoded

HERE = Path(__file__).parent
DIALECTS = {"asg4": asg4, "native": native}
METHODS = ("GET", "PUT", "POST", "DELETE")

NODES = [f"10.10.0.{host}:8090" for host in range(2, 7)]
DEAD = "10.10.0.4:8090"
STRANGER = "10.10.0.9:8090"
VIEW = first_view(NODES, 2)
LIMITS = Limits(value_bytes_max=200, wait_s_max=20.0)

SEEN = Token({}, {("AAAAAA.1", 7): 6 << 24}, b"", (1700000000000, 0, "AAAAAA.1"))
DOT = ("AAAAAA.1", 7)
HOME = "10.10.0.3:8090"

OUTCOMES: dict[str, Outcome] = {
    "created": Stored(SEEN, Past(), DOT, replaced=False, acks=2, copies=3, home=HOME),
    "replaced": Stored(SEEN, Past(), DOT, replaced=True, acks=1, copies=3, home=HOME),
    "found": Found((b'{"any":["JSON",1.50,null]}',), (DOT,), (DOT,), SEEN, Past(), HOME),
    "absent": Absent((), SEEN, Past(), HOME),
    "unmet": Unmet({"BBBBBB.1": (0, 4), "AAAAAA.1": (3, 7)}),
    "unmet of an odd name": Unmet({"a\r\nSet-Cookie: b": (0, 1)}),
    "not written": Unavailable("no replica of shard s1 can be reached", definite=True),
    "undecided": Unavailable("the home did not answer in time", definite=False),
    "counted": Counted(17),
}


def facts_at(address: str, wrong: str = "") -> Facts:
    return Facts(
        address=address,
        view=VIEW,
        alive=tuple(node for node in NODES if node != DEAD),
        ready=not wrong,
        checks=(("view", ""), ("arrived", wrong)),
        status=lambda: {"address": address, "arrived": not wrong},
    )


@dataclass
class Block:
    """One request of a text, read line by line."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        name, colon, text = line.partition(": ")
        if line.startswith("#"):
            return
        if line.split(" ")[0] in METHODS and not self.method:
            self.method, self.target = line.split(" ", 1)
        elif name in ("at", "outcome", "wrong") and colon:
            self.settings[name] = text
        elif colon and name.replace("-", "").isalpha():
            self.headers[name] = text
        else:
            self.body += line


def played(text: str, dialect: Dialect) -> str:
    """The text with what this dialect answers below each `----`."""
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
    said = _said(block, table, dialect)
    lines: list[str] = []
    if isinstance(said, Ask):
        lines.append(_asked(said.request))
        said = said.say(OUTCOMES[block.settings["outcome"]])
    return f"{above}----\n" + "\n".join([*lines, *_lines_of(said)])


def _said(block: Block, table: Table, dialect: Dialect) -> Reply | Ask:
    path, _, query = block.target.partition("?")
    endpoint, placeholders = table.find(block.method, path) or (None, {})
    if endpoint is None or endpoint.handler is None:
        return dialect.not_found(path)
    words = decoded(placeholders)
    assert words is not None
    facts = facts_at(block.settings.get("at", NODES[0]), block.settings.get("wrong", ""))
    queries = dict(parse_qsl(query, keep_blank_values=True))
    body = block.body.encode()
    call = Call(block.method, words, queries, block.headers, body, lambda: facts, LIMITS)
    return endpoint.handler(call)


def _asked(request: Request) -> str:
    if isinstance(request, Count):
        return f"asks count of shard {request.shard}"
    token = encode(request.token).decode() if request.token else "nothing seen"
    if not isinstance(request, Put):
        where = f"{request.mode}, {request.scope}, {request.copies} copy, wait {request.wait_s:g} s"
        return f"asks get of {request.key!r}: {where}; {token}"
    value = "a delete" if request.value is None else request.value.decode()
    how = f"{request.mode}, {request.level}, refuse unmet {request.refuse_unmet}"
    present = ", if present" if request.if_present else ""
    return f"asks put of {request.key!r} = {value}: {how}{present}; {token}"


def _lines_of(reply: Reply) -> list[str]:
    headers = [f"{name}: {value}" for name, value in reply.headers.items()]
    assert not any("\n" in header or "\r" in header for header in headers)
    return [str(reply.status), *headers, *reply.body.decode().splitlines()]
