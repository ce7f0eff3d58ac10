"""How a link begins: two nodes tell each other their names and their protocol version.

Both sides say hello, the caller first.  Nodes that are in the view of their settings compare these
views, since those have one number and nothing else tells them apart.  Other views are compared in
later messages.  Knows no table of links.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from node.core.model.view import FIRST, View
from node.shell.peers.link import REFUSED, Link, WebSocket

VERSION = 7
PATH = "/peer"
WHAT_TO_DO = (
    "nodes that begin a cluster need the same VIEW and SHARD_COUNT, and one that comes later is"
    " started without SHARD_COUNT; correct them, and start the wrong ones on an empty DATA_DIR"
)
NewLink = Callable[[WebSocket, asyncio.Transport], Link]
NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,259}")


class FirstView(msgspec.Struct, frozen=True):
    """The view of a node's settings: the nodes of VIEW, and the members of each shard."""

    nodes: tuple[str, ...]
    shards: tuple[tuple[str, ...], ...]


class Hello(msgspec.Struct, frozen=True):
    """The first message of both sides; `address` is the sender's name in the nodes' views.

    `first_view` is told while the sender is in it.
    """

    version: int
    address: str
    first_view: FirstView | None = None


def first_view_in(view: View) -> FirstView | None:
    """Return the view of the settings, if this is it."""
    if view.id != FIRST:
        return None
    return FirstView(view.nodes, tuple(shard.members for shard in view.shards))


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Hello).decode


def as_link(web_socket: aiohttp.ClientWebSocketResponse, new_link: NewLink) -> Link | None:
    """Return the link over a socket that this node has opened; None when it broke at once."""
    # aiohttp does not show a client's transport; only the transport can end a link at once.
    connection = web_socket._response.connection
    if connection is None or connection.transport is None:
        return None
    return new_link(web_socket, connection.transport)


def new_session(**how: Any) -> aiohttp.ClientSession:
    """Return a client for calls to nodes, with a pool of connections of this kind."""
    connector = aiohttp.TCPConnector(use_dns_cache=False, **how)
    timeout = aiohttp.ClientTimeout(total=None)  # each attempt has its own
    session = aiohttp.ClientSession(
        connector=connector, timeout=timeout, middlewares=(refuse_redirects,)
    )
    session._retry_connection = False  # a proof is good for one connection; links dial again
    return session


async def refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Follow no answer to another address: the node knows where its peers are."""
    answer = await handler(request)
    if 300 <= answer.status < 400:
        answer.close()
        raise aiohttp.ClientError(f"it answers {answer.status}, as no node does")
    return answer


async def received_hello(web_socket: WebSocket) -> Hello | str:
    """Read the other side's hello, or say what is wrong with it.

    Raises ConnectionError when it leaves without a word.
    """
    message = await web_socket.receive()
    if message.type is aiohttp.WSMsgType.CLOSE and message.data == REFUSED:
        return f"it refuses this node: {message.extra}"
    if message.type is not aiohttp.WSMsgType.BINARY:
        raise ConnectionResetError("closed before its hello")
    try:
        return _decode(message.data)
    except msgspec.MsgspecError as error:
        return f"its first message is no hello: {error}"


def objection(hello: Hello | str, ours: Hello, expected: str) -> str:
    """Return why there can be no link, or "".

    `expected` is the node that this node called, or the name that the caller has proven; "" for a
    caller that had nothing to prove.
    """
    if isinstance(hello, str):
        return hello
    if hello.version != ours.version:
        return f"it speaks version {hello.version}, this node {ours.version}"
    if hello.address == ours.address:
        return f"it says it is this node, {ours.address}"
    if expected and hello.address != expected:
        return f"it says it is {hello.address}"
    if not NAME.fullmatch(hello.address):
        return "it does not say who it is"
    return ""


def other_settings(theirs: Hello | str, ours: Hello) -> str:
    """Return how the settings of two nodes differ, if both are in the views of these, or ""."""
    if isinstance(theirs, str):
        return ""
    there, here = theirs.first_view, ours.first_view
    if there is None or here is None or there == here:
        return ""
    if len(there.shards) != len(here.shards):
        what = f"SHARD_COUNT is {len(there.shards)} at {theirs.address} and {len(here.shards)} here"
    elif strangers := sorted(set(there.nodes) - set(here.nodes)):
        what = f"the VIEW of {theirs.address} names {strangers[0]}, which that of this node lacks"
    elif strangers := sorted(set(here.nodes) - set(there.nodes)):
        what = f"the VIEW of {theirs.address} lacks {strangers[0]}, which that of this node names"
    else:
        what = f"{theirs.address} has put other nodes together in shards"
    return f"{what}; {WHAT_TO_DO}"
