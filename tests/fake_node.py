"""A stand-in for a node: it answers only what the launcher asks.

Run it as `python -m tests.fake_node` with a node's settings.  FAKE_* settings name misbehaving
nodes by the port of their address: a node in FAKE_REFUSES ends at once with a line on stderr, one
in FAKE_UNREADY is never ready, one in FAKE_DISSENTS has a view of its own.
"""

import json
import os
import sys
from pathlib import Path

from aiohttp import web

ADDRESS = os.environ["SOCKET_ADDRESS"]
HOST, _, PORT = ADDRESS.rpartition(":")
VIEW = os.environ["VIEW"].split(",")
SHARDS = int(os.environ["SHARD_COUNT"])
STATE = web.AppKey("state", dict[str, list[str]])
STARTS = web.AppKey("starts", int)


def is_among(setting: str) -> bool:
    """Whether this node is one of those that the setting names."""
    return PORT in os.environ.get(setting, "").split(",")


async def livez(_request: web.Request) -> web.Response:
    """Answer that the process runs."""
    return web.Response(text="ok\n")


async def readyz(_request: web.Request) -> web.Response:
    """Answer that the node is ready, unless FAKE_UNREADY names it."""
    if is_among("FAKE_UNREADY"):
        return web.Response(status=503, text="[+]store ok\n[-]recovery still reading\n")
    return web.Response(text="[+]store ok\n[+]recovery ok\n")


async def status(request: web.Request) -> web.Response:
    """Answer the view, the settings and the cut."""
    shards = {f"s{number + 1}": VIEW[number::SHARDS] for number in range(SHARDS)}
    identity = "dissent" if is_among("FAKE_DISSENTS") else "first"
    return web.json_response(
        {
            "address": ADDRESS,
            "view": {"id": identity, "shards": shards},
            "store": {"hash": "6b1f00d5" * 4, "scrub": {"found": 2, "repaired": 2}},
            "hints": {"for": {VIEW[0]: 3}},
            "cut": request.app[STATE]["cut"],
            "starts": request.app[STARTS],
        }
    )


async def set_cut(request: web.Request) -> web.Response:
    """Replace the earlier cut."""
    request.app[STATE]["cut"] = (await request.json())["cut"]
    return web.json_response({"ok": True})


async def heal(request: web.Request) -> web.Response:
    """Forget the cut."""
    request.app[STATE]["cut"] = []
    return web.json_response({"ok": True})


def application(starts: int) -> web.Application:
    """Return the routes."""
    app = web.Application()
    cut: dict[str, list[str]] = {"cut": []}
    app[STATE] = cut
    app[STARTS] = starts
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/v1/status", status)
    app.router.add_put("/v1/faults", set_cut)
    app.router.add_delete("/v1/faults", heal)
    return app


def main() -> None:
    """Leave a trace in the data directory, then serve until told to stop."""
    if is_among("FAKE_REFUSES"):
        sys.stderr.write("\n".join(f"line {number}" for number in range(30)))
        sys.stderr.write("\nSHARD_COUNT is wrong; expected another\n")
        sys.exit(2)
    starts = Path(os.environ["DATA_DIR"]) / "starts"
    starts.parent.mkdir(parents=True, exist_ok=True)
    with starts.open("a+") as trace:
        trace.write("start\n")
    count = len(starts.read_text().splitlines())
    sys.stdout.write(json.dumps({"listening": ADDRESS}) + "\n")
    sys.stdout.flush()
    host = "127.0.0.1" if HOST == "127.0.0.1" else None
    web.run_app(application(count), host=host, port=int(PORT), print=lambda *_: None)


if __name__ == "__main__":
    main()
