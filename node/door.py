"""Opens the port before the rest of the node is imported, so that early clients wait, unrefused.

Imports take most of a start, and the scripts that start nodes do not wait for long.  The kernel
accepts connections meanwhile, and the server answers them once it runs.  Imports little.
"""

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from node import config
from node.config import HelpWanted
from node.setting_types import BadSetting

BACKLOG_CONNECTIONS = 1024

_early: dict[tuple[str | None, int], list[socket.socket]] = {}


def listening_host(host: str) -> str | None:
    """Return the host to listen on; None means all interfaces.

    A node with a loopback address serves only that.  Any other node serves all interfaces, since a
    container may get its address after its start.
    """
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return host if is_loopback else None


def open_early(environ: Mapping[str, str], argv: Sequence[str]) -> None:
    """Listen where the settings say, and ignore every error.

    The start reads the settings and asks for the sockets again, and reports the errors then.
    """
    try:
        settings = config.read(environ, argv)
        where = listening_host(settings.host), settings.port
        _early[where] = _listening(*where)
    except (BadSetting, HelpWanted, OSError):
        return


def opened(host: str | None, port: int) -> list[socket.socket]:
    """Return the sockets that listen there, opened early or now; the caller closes them.

    Raises OSError when the port is taken.
    """
    return _early.pop((host, port), None) or _listening(host, port)


def _listening(host: str | None, port: int) -> list[socket.socket]:
    """Open one socket for each address of the host; None means all interfaces."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, own_host in dict.fromkeys((each[0], str(each[4][0])) for each in found):
            if opened and not port:  # any free port, the same for all sockets
                port = opened[0].getsockname()[1]
            opened += _socket_at(family, (own_host, port), is_only=len(found) == 1)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _socket_at(
    family: socket.AddressFamily, address: tuple[str, int], is_only: bool
) -> list[socket.socket]:
    """Open a listening socket; return none if the machine lists IPv6 but does not have it."""
    try:
        return [socket.create_server(address, family=family, backlog=BACKLOG_CONNECTIONS)]
    except OSError:
        if family == socket.AF_INET6 and not is_only and not _has_ipv6():
            return []
        raise


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
