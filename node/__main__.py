"""Run one node: the only place that connects core, driver, contracts and shell.

The program reads the settings, opens the store, builds the replica and its driver, listens and
connects.  It runs until it is told to stop, and then drains.  A node that cannot start prints one
line on stderr and exits with code 2.  A node whose store fails later stops with exit code 1.
"""

import gc
import os
import sys

from node import door

if __name__ == "__main__":  # the imports below take half of the start; clients wait meanwhile
    door.open_early(os.environ, sys.argv[1:])
    gc.disable()  # imports leave hardly any cycles; `GarbageCollection` begins to look for them

import asyncio
import logging
import signal
from random import Random, SystemRandom
from typing import Any

import orjson

from node import config
from node.api.admin.health import native
from node.api.admin.view_jobs import views
from node.api.contract import Dialect, Limits
from node.api.native.bulk import bulk
from node.api.native.explain import explanations
from node.api.native.export import exports
from node.api.native.imports import imports
from node.api.native.key_lists import key_lists
from node.api.native.key_values import key_values
from node.api.native.merged_keys import merged_keys
from node.api.native.policies import policies
from node.api.native.snapshots import snapshots
from node.api.native.watch import watches
from node.config import HelpWanted, Settings
from node.core.model.options import Options, Start
from node.core.model.pace import pace_of
from node.core.model.placement import first_view
from node.core.model.view import View, no_view
from node.core.protocol.events import LinkDown, LinkUp
from node.core.replica import Replica, restore
from node.driver import Driver
from node.security.guard import Guard
from node.setting_types import BadSetting
from node.shell import event_loop
from node.shell.disk.store import Durability, SqliteStore, StoreError
from node.shell.event_loop import LoopTimer
from node.shell.gc_schedule import GarbageCollection
from node.shell.http.doorman import Doorman
from node.shell.http.port_limits import PortLimits, fitting
from node.shell.http.server import Server
from node.shell.peers.gate import Gate
from node.shell.peers.handshake import FirstView, first_view_in
from node.shell.peers.links import PeerLinks

DRAIN_S = 3.0  # a container is killed after 10 s, and the node must end more than requests
STARTED_S = 1.0  # by then the node has answered the clients that waited for its start
NOTHING_WRONG, STORE_FAILED, CANNOT_START = 0, 1, 2


logger = logging.getLogger("coterie.node")


class JsonLines(logging.Formatter):
    """Writes each log entry as one JSON object on a line, for programs."""

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
    """Log to stdout, as text or as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    text = f"%(asctime)s.%(msecs)03d %(levelname)s {node} %(name)s %(message)s"
    as_text = logging.Formatter(text, "%Y-%m-%dT%H:%M:%S")
    handler.setFormatter(JsonLines(node) if log_format == "json" else as_text)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def dialects_of(settings: Settings) -> list[Dialect]:
    """Return the handlers of the chosen contracts, in their order, then our own routes."""
    spoken = [entry.handlers(settings) for entry in settings.spoken]
    ours = key_values(), policies(), key_lists(), bulk(), snapshots(), watches(), explanations()
    return [*spoken, native(), *ours, exports(), imports(), merged_keys(), views()]


def start_of(settings: Settings) -> Start:
    """Return what a node begins with when its disk knows no view.

    The node's contract decides if it has a rule.  Otherwise the node begins with the view that the
    settings spell out.  If VIEW names other nodes and SHARD_COUNT is not given, it begins without a
    view and asks those nodes.
    """
    for entry in settings.known:
        if start := entry.start(settings):
            return start
    unsharded = any(entry.begins_unsharded(settings) for entry in settings.known)
    if settings.shard_count is None and len(settings.view) > 1:
        return Start(no_view(settings.view, unsharded), join=True)
    return Start(first_view(settings.view, settings.shard_count or 1, unsharded))


def warn_of_faults(settings: Settings) -> None:
    if settings.enable_faults:
        logger.warning("ENABLE_FAULTS=1: any client may cut this node off (/v1/faults)")


def warn_of_view(view: View) -> None:
    if not view.number:
        logger.warning("in no view yet: this node holds nothing until it is told one")
    lone = [shard.id for shard in view.shards if len(shard.members) == 1]
    if lone:
        logger.warning("one node each holds %s: its data has no second copy", ", ".join(lone))


async def serve(settings: Settings) -> int:
    """Serve from the opened store until the node has drained; return the exit code."""
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
    name = settings.node_name
    random = SystemRandom()
    options = Options(
        cache_bytes_max=settings.cache_bytes_max,
        repair_every_s=settings.repair_every_s,
        hold_s=settings.hold_s,
    )

    def restored() -> Replica:
        chance = Random(random.getrandbits(64))
        return restore(name, start_of(settings), store, options, chance)

    def where(peer: str) -> str:
        return driver.replica.views.history.where(peer)

    def seeks(peer: str) -> bool:
        return driver.replica.views.seeks(peer)

    def first_view() -> FirstView | None:
        return first_view_in(driver.replica.view)

    def silence_s() -> float:
        return pace_of(driver.replica.view).silence_s

    guard = Guard(settings.security)
    gate = Gate(name, guard.secrets, guard.audit, guard.tls)
    links = PeerLinks(name, random, silence_s, where, seeks, gate=gate, first_view=first_view)
    driver = Driver(restored(), LoopTimer(), links, store, restored, store)
    server = server_of(settings, driver, links, store, guard)
    obey_signals(stop, guard, links)
    await listen(server, settings)
    warn_of_view(driver.replica.view)
    warn_of_faults(settings)
    guard.warn()
    links.start(
        driver.receive,
        lambda peer: driver.receive(peer, LinkUp(peer)),
        lambda peer: driver.receive(peer, LinkDown(peer)),
    )
    driver.start()
    asyncio.get_running_loop().call_later(STARTED_S, GarbageCollection)
    logger.info("serving at %s, data in %s", settings.socket_address, settings.data_dir)
    code = await stop
    logger.info("stopping")
    await server.drain(DRAIN_S)
    await links.close()
    driver.stop()
    return code


async def listen(server: Server, settings: Settings) -> None:
    """Serve at the node's port.  Raises BadSetting when it is taken."""
    try:
        await server.start(door.opened(door.listening_host(settings.host), settings.port))
    except OSError as error:
        expected = f"a port to listen on ({error.strerror})"
        raise BadSetting("SOCKET_ADDRESS", settings.socket_address, expected) from error


def obey_signals(stop: asyncio.Future[int], guard: Guard, links: PeerLinks) -> None:
    """Stop when told to; on SIGHUP read again what the node believes."""
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, _stop, stop, NOTHING_WRONG)
    if guard.settings.reads_files:
        loop.add_signal_handler(signal.SIGHUP, _renew, guard, links)


def _renew(guard: Guard, links: PeerLinks) -> None:
    if guard.renew():
        links.end_distrusted()


def server_of(
    settings: Settings, driver: Driver, links: PeerLinks, store: SqliteStore, guard: Guard
) -> Server:
    networks = settings.security.networks(settings.view)
    try:
        return Server(
            driver,
            links,
            dialects_of(settings),
            Limits(settings.value_bytes_max, settings.max_wait_s),
            settings.enable_faults,
            lambda: {
                "commits": store.commits,
                "rows": store.rows_committed,
                "seconds": store.commit_s,
            },
            settings.cors_origins or (),
            fitting(
                PortLimits(
                    watchers_max=settings.watchers_max,
                    requests_per_s_max=settings.requests_per_s_max,
                )
            ),
            Doorman(guard.tokens, guard.audit, guard.tls, networks),
        )
    except ValueError as error:
        expected = f"dialects that do not share routes ({error})"
        raise BadSetting("DIALECT", ",".join(settings.dialect), expected) from error


def _stop(stop: asyncio.Future[int], code: int) -> None:
    if not stop.done():
        stop.set_result(code)


def main() -> int:
    """Start a node by the environment and the flags; return the exit code."""
    try:
        settings = config.read(os.environ, sys.argv[1:])
        os.umask(0o077)  # what a node writes is for its own user
        dialects_of(settings)
        start_logging(settings.log_format, settings.node_name)
        return event_loop.run(serve(settings), settings.uvloop)
    except HelpWanted:
        print(config.help_text())
        return NOTHING_WRONG
    except (BadSetting, StoreError) as error:
        print(f"coterie: {error}", file=sys.stderr)
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
