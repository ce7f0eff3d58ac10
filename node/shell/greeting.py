"""How a link begins: two sockets that agree on who is at either end.

Both sides say hello first, the caller before the called.  Nothing else is asked: whether two nodes
are of one view is for what they say later.  Knows no table of links.
"""

import re

import aiohttp
import msgspec

from node.shell.sockets import RECEIVE_BYTES_MAX, REFUSED, Link, WebSocket

VERSION = 2
PATH = "/peer"
NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,259}")


class Hello(msgspec.Struct, frozen=True):
    """The first message of both sides; `address` is what the nodes of a view call the sender."""

    version: int
    address: str


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Hello).decode


async def connected(session: aiohttp.ClientSession, peer: str, silence_s: float) -> Link | None:
    """A link on which nobody has said hello; None when it broke at once.

    Raises aiohttp.ClientError or OSError when nobody answers there.
    """
    web_socket = await session.ws_connect(f"http://{peer}{PATH}", max_msg_size=RECEIVE_BYTES_MAX)
    # aiohttp does not show a client's transport; only that can end a link at once.
    connection = web_socket._response.connection
    if connection is None or connection.transport is None:
        return None
    return Link(web_socket, connection.transport, silence_s)


async def received_hello(web_socket: WebSocket) -> Hello | str:
    """What the other side says first, or what is wrong with it.

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
    """Why there can be no link, or nothing; `dialed` is whom we called, "" when we were called."""
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
