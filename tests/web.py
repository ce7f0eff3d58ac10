"""A server for tests: a real replica's facts, a driver with scripted answers, and raw sockets.

Nothing here waits for time to pass: a test waits for bytes, or for a request to the driver.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from aiohttp import web

from cluster.simulator.sim_voice import SimVoice
from node import door
from node.api.admin.health import native
from node.api.contract import Call, Dialect, Limits, Reply, Route
from node.api.dialects.asg4.handlers import asg4
from node.core.model.item import Past
from node.core.model.options import Options, Start
from node.core.model.placement import first_view
from node.core.model.token import Token
from node.core.protocol.operations import Absent, Found, Outcome, Put, Request, Stored
from node.core.replica import restore
from node.driver import Driver
from node.shell.http.port_limits import PortLimits
from node.shell.http.server import Server
from node.shell.peers.peer import LinkCounts
from tests.conversations.ports import Disk, Life, LifeClock, LifeLinks, LifeStore, Timeline

ADDRESS = "127.0.0.1:8090"
NODES = (ADDRESS, "127.0.0.1:8091")
VALUE_BYTES_MAX = 1_000_000
LIMITS = Limits(VALUE_BYTES_MAX, 20.0)
PORT_LIMITS = PortLimits(close_timeout_s=0.1)
START = Start(first_view(NODES, 1))

Done = Callable[[Outcome], None]


class ScriptedDriver(Driver):
    """Keeps values in a dict and answers at once; while `holds`, it answers on command."""

    def __init__(self, start: Start = START) -> None:
        time = Timeline()
        store = LifeStore(Disk(), lambda records, durable: None)
        replica = restore(ADDRESS, start, store, Options(), Random(1))
        links = LifeLinks(ADDRESS, lambda source, target, envelope: None)
        clock = LifeClock(time, Life(), lambda callback: None)
        super().__init__(replica, clock, links, store, lambda: replica, SimVoice())
        self.values: dict[str, bytes] = {}
        self.holds = False
        self.held: asyncio.Queue[tuple[Request, Done]] = asyncio.Queue()

    def submit(self, operation: Request, done: Done) -> None:
        if self.holds:
            self.held.put_nowait((operation, done))
        else:
            done(self.outcome_of(operation))

    def outcome_of(self, operation: Request) -> Outcome:
        assert isinstance(operation, Put) or hasattr(operation, "key")
        key = operation.key
        if isinstance(operation, Put):
            was = key in self.values
            assert operation.value is not None
            self.values[key] = operation.value
            return Stored(Token(), Past(), ("a", 1), was, 1, 1, ADDRESS)
        if key in self.values:
            return Found((self.values[key],), (), (), Token(), Past(), ADDRESS)
        return Absent((), Token(), Past(), ADDRESS)


@dataclass
class ScriptedLinks:
    """Remembers what it was told; serves a WebSocket that echoes."""

    cut: list[tuple[list[str], float]] = field(default_factory=list)
    heals: int = 0
    unlisted: int = 0
    is_broken: bool = False
    misfits: dict[str, str] = field(default_factory=dict)
    tallies: dict[str, LinkCounts] = field(
        default_factory=lambda: {NODES[1]: LinkCounts(True, 3, 300, 2, 200, 1)}
    )

    async def accept(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.is_broken:
            raise RuntimeError("a secret")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.unlisted += 1
        try:
            async for message in socket:
                if message.data == "crash":
                    raise RuntimeError("a secret")
                await socket.send_str(str(message.data))
        finally:
            self.unlisted -= 1
        return socket

    def cut_off(self, peers: Iterable[str], ttl_s: float) -> None:
        self.cut.append((list(peers), ttl_s))

    def heal(self) -> None:
        self.heals += 1

    def stats(self) -> dict[str, dict[str, int]]:
        return {peer: asdict(tally) for peer, tally in self.tallies.items()}


def crash(call: Call) -> Reply:
    raise RuntimeError("a secret")


def not_found(path: str) -> Reply:
    return Reply(404, b"{}")


CRASHING = Dialect("crashing", (Route("GET", "/crash", crash),), not_found)


@dataclass
class Said:
    """One HTTP answer, read from a socket."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A client's socket: sends bytes as they are, reads answers one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    async def read(self, has_body: bool = True) -> Said:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", "0")) if has_body else 0
        return Said(int(first.split(" ")[1]), headers, await self.reader.readexactly(length))

    async def ask(self, method: str, path: str, body: bytes = b"", *lines: str) -> Said:
        self.send(request(method, path, body, *lines))
        return await self.read(method != "HEAD")

    async def is_closed(self) -> bool:
        """Wait for the server to close; drop what it still sends."""
        await self.reader.read()
        return self.reader.at_eof()


def request(method: str, path: str, body: bytes = b"", *lines: str) -> bytes:
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: node", *length, *lines))
    return f"{head}\r\n\r\n".encode() + body


@dataclass
class Site:
    """A served node."""

    server: Server
    driver: ScriptedDriver
    links: ScriptedLinks
    wires: list[Wire] = field(default_factory=list)

    async def wire(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self.wires.append(wire)
        return wire

    async def ask(self, method: str, path: str, body: bytes = b"", *lines: str) -> Said:
        return await (await self.wire()).ask(method, path, body, *lines)


@asynccontextmanager
async def served(
    *dialects: Dialect,
    faults: bool = False,
    start: Start = START,
    port_limits: PortLimits = PORT_LIMITS,
    **options: Any,
) -> AsyncIterator[Site]:
    driver, links = ScriptedDriver(start), ScriptedLinks()
    spoken = (asg4(), native(), *dialects)
    server = Server(driver, links, spoken, LIMITS, faults, port_limits=port_limits, **options)
    site = Site(server, driver, links)
    await server.start(door.opened("127.0.0.1", 0))
    try:
        yield site
    finally:
        for wire in site.wires:
            wire.writer.close()
        await site.server.drain(5.0)
