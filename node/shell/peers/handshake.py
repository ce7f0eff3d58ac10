"""How a link begins: two nodes tell each other their names and their protocol version.

Both sides say hello, the caller first.  The hello does not compare views: nodes do that in their
later messages.  Knows no table of links.
"""

import asyncio
import re
from collections.abc import Callable

import aiohttp
import msgspec

from node.shell.peers.link import RECEIVE_BYTES_MAX, REFUSED, Link, WebSocket

VERSION = 6
PATH = "/peer"
NewLink = Callable[[WebSocket, asyncio.Transport], Link]
NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,259}")


class Hello(msgspec.Struct, frozen=True):
    """The first message of both sides; `address` is the sender's name in the nodes' views."""

    version: int
    address: str


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Hello).decode


async def connected(session: aiohttp.ClientSession, peer: str, new_link: NewLink) -> Link | None:
    """Dial a node, and return the link before any hello; None when it broke at once.

    Raises aiohttp.ClientError or OSError when no node answers there.
    """
    web_socket = await session.ws_connect(f"http://{peer}{PATH}", max_msg_size=RECEIVE_BYTES_MAX)
    # aiohttp does not show a client's transport; only the transport can end a link at once.
    connection = web_socket._response.connection
    if connection is None or connection.transport is None:
        return None
    return new_link(web_socket, connection.transport)


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


def objection(hello: Hello | str, ours: Hello, dialed: str) -> str:
    """Return why there can be no link, or "".

    `dialed` is the node that this node called, "" when the other side called.
    """
    if isinstance(hello, str):
        return hello
    if hello.version != ours.version:
        return f"it speaks version {hello.version}, this node {ours.version}"
    if hello.address == ours.address:
        return f"it says it is this node, {ours.address}"
    if dialed and hello.address != dialed:
        return f"it says it is {hello.address}"
    if not NAME.fullmatch(hello.address):
        return "it does not say who it is"
    return ""
