"""Runs one node: the only place that wires.

Reads the settings, opens the store, builds the replica and its driver, listens, connects, and runs
until it is told to stop; then it drains.  What makes a start impossible is one line on stderr and
exit code 2; a store that fails later makes the node step aside, with exit code 1.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from random import Random, SystemRandom
from typing import Any

import orjson

from node import config
from node.config import HelpWanted, Settings
from node.core.messages import LinkDown, LinkUp
from node.core.replica import Options, Replica, Start, restore
from node.core.view import View, first_view, no_view
from node.dialects.admin_view import admin_view
from node.dialects.asg4 import asg4
from node.dialects.causal import causal
from node.dialects.contract import Dialect, Limits
from node.dialects.data_view import data_view
from node.dialects.dynamo import dynamo
from node.dialects.keys_view import keys_view
from node.dialects.native import native
from node.dialects.orders import name_of
from node.dialects.peers import peers
from node.dialects.shard_view import shard_view
from node.dialects.views import views
from node.driver import Driver
from node.kinds import BadSetting
from node.shell import loop
from node.shell.garbage import GarbageCollection
from node.shell.links import PeerLinks
from node.shell.loop import LoopClock
from node.shell.server import Server
from node.shell.store import Durability, SqliteStore, StoreError

DRAIN_S = 5.0
NOTHING_WRONG, STORE_FAILED, CANNOT_START = 0, 1, 2

DIALECTS: Mapping[str, Callable[[Settings], Dialect]] = {
    "asg4": lambda settings: asg4(settings.asg_replaced_word),
    "dynamo": lambda settings: dynamo(),
    "admin_view": lambda settings: admin_view(),
    "causal": lambda settings: causal(),
    "data_view": lambda settings: data_view(),
    "keys_view": lambda settings: keys_view(),
    "peers": lambda settings: peers(),
    "shard_view": lambda settings: shard_view(),
}
# What shard_view stores is not as the others store it; by data_view nodes have other names.
SPOKEN_ALONE = ("shard_view", "data_view")

logger = logging.getLogger("coterie.node")


class JsonLines(logging.Formatter):
    """One object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": record.created,
            "level": record.levelname.lower(),
            "node": self._node,
            "topic": record.name.removeprefix("coterie."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node


def start_logging(log_format: str, node: str) -> None:
    """Text or JSON lines on stdout."""
    handler = logging.StreamHandler(sys.stdout)
    text = f"%(asctime)s.%(msecs)03d %(levelname)s {node} %(name)s %(message)s"
    as_text = logging.Formatter(text, "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(JsonLines(node) if log_format == "json" else as_text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def dialects_of(settings: Settings) -> list[Dialect]:
    """The chosen dialects in their order, then the native ones."""
    names = settings.dialect
    for name in names:
        if name not in DIALECTS:
            known = ", ".join(sorted(DIALECTS))
            raise BadSetting("DIALECT", ",".join(names), f"names among: {known}")
        if name in SPOKEN_ALONE and len(names) > 1:
            raise BadSetting("DIALECT", ",".join(names), f"{name} without any other")
    return [*(DIALECTS[name](settings) for name in names), native(), views()]


def listening_host(host: str) -> str | None:
    """A loopback address is served there only; any other on all interfaces (None): a container
    may get the address after its start."""
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return host if is_loopback else None


def node_name(settings: Settings) -> str:
    """What other nodes call this one: its address, or, by data_view, its identifier: there views
    say where nodes are, and may say otherwise later."""
    if "data_view" in settings.dialect and settings.node_identifier is not None:
        return name_of(settings.node_identifier)
    return settings.socket_address


def start_of(settings: Settings) -> Start:
    """What a node begins with whose disk knows no view: the view that the settings spell out, or
    none, where VIEW names others and nobody says how many shards they form: then it asks them.
    A node that speaks data_view, or admin_view and knows nobody, waits for its view to be put; one
    that speaks keys_view and has no place in VIEW is told of later views, and waits for one that
    names it."""
    if "data_view" in settings.dialect:
        return Start(no_view(()))
    told = settings.shard_count is not None or len(settings.view) == 1
    if "keys_view" in settings.dialect and not (told and settings.socket_address in settings.view):
        return Start(no_view(settings.view))
    if settings.shard_count is None and len(settings.view) > 1:
        return Start(no_view(settings.view), join=True)
    if settings.shard_count is None and "admin_view" in settings.dialect:
        return Start(no_view(()))
    return Start(first_view(settings.view, settings.shard_count or 1))


def warn_of_view(view: View) -> None:
    if not view.number:
        logger.warning("in no view yet: this node holds nothing until it is told one")
    lone = [shard.id for shard in view.shards if len(shard.members) == 1]
    if lone:
        logger.warning("one node each holds %s: its data has no second copy", ", ".join(lone))


async def serve(settings: Settings) -> int:
    """From the open store to the drained node; gives the exit code."""
    stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    store = SqliteStore(
        settings.data_dir,
        Durability(settings.durability),
        lambda reason: _stop(stop, STORE_FAILED),
    )
    try:
        return await _serve_from(settings, store, stop)
    finally:
        await store.close()


async def _serve_from(settings: Settings, store: SqliteStore, stop: asyncio.Future[int]) -> int:
    name = node_name(settings)
    random = SystemRandom()
    options = Options(
        cache_bytes_max=settings.cache_bytes_max,
        repair_every_s=settings.repair_every_s,
        hold_s=settings.hold_replicated_ms / 1000 if "causal" in settings.dialect else 0.0,
    )

    def restored() -> Replica:
        chance = Random(random.getrandbits(64))
        return restore(name, start_of(settings), store, options, chance)

    def where(peer: str) -> str:
        return driver.replica.moving.history.where(peer)

    links = PeerLinks(name, random, where=where)
    driver = Driver(restored(), LoopClock(), links, store, restored, store)
    server = server_of(settings, driver, links, store)
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, _stop, stop, NOTHING_WRONG)
    try:
        await server.start(listening_host(settings.host), settings.port)
    except OSError as error:
        expected = f"a port to listen on ({error.strerror})"
        raise BadSetting("SOCKET_ADDRESS", settings.socket_address, expected) from error
    warn_of_view(driver.replica.view)
    links.start(
        driver.receive,
        lambda peer: driver.receive(peer, LinkUp(peer)),
        lambda peer: driver.receive(peer, LinkDown(peer)),
    )
    driver.start()
    GarbageCollection()
    logger.info("serving at %s, data in %s", settings.socket_address, settings.data_dir)
    code = await stop
    logger.info("stopping")
    await server.drain(DRAIN_S)
    await links.close()
    return code


def server_of(settings: Settings, driver: Driver, links: PeerLinks, store: SqliteStore) -> Server:
    try:
        return Server(
            driver,
            links,
            dialects_of(settings),
            Limits(settings.value_bytes_max, settings.max_wait_s),
            settings.enable_faults,
            lambda: {"commits": store.commits, "rows": store.rows_committed},
        )
    except ValueError as error:
        expected = f"dialects that do not share routes ({error})"
        raise BadSetting("DIALECT", ",".join(settings.dialect), expected) from error


def _stop(stop: asyncio.Future[int], code: int) -> None:
    if not stop.done():
        stop.set_result(code)


def main() -> int:
    """Starts a node by the environment and the flags; gives the exit code."""
    try:
        settings = config.read(os.environ, sys.argv[1:])
        dialects_of(settings)
        start_logging(settings.log_format, node_name(settings))
        return loop.run(serve(settings), settings.uvloop)
    except HelpWanted:
        print(config.help_text())
        return NOTHING_WRONG
    except (BadSetting, StoreError) as error:
        print(f"coterie: {error}", file=sys.stderr)
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
