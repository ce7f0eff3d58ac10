"""One spelling for each address host:port, so that no node has two names.

A host is a name, an IPv4 address of four numbers, or an IPv6 address in brackets.  This module
looks no names up, so `localhost` and 127.0.0.1 are two names.  Pure.
"""

import re
from ipaddress import IPv4Address, IPv6Address

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
HOST_CHARACTERS_MAX = 253
AN_ADDRESS = "host:port, a name, four numbers or [IPv6], with a port from 1 to 65535"


def canonical(address: str) -> str:
    """Return the address in its one spelling.

    Names are in small letters, without a dot at their end; an IPv6 address has its shortest form,
    or the IPv4 form if it stands for one; a port has no zeros before it.  Raises ValueError with a
    text that says what is wrong.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError("expected host:port, an IPv6 host in brackets")
    port = int(found[2])
    if not 1 <= port <= 65535:
        raise ValueError(f"its port is {port}, expected 1 to 65535")
    return f"{_host(found[1])}:{port}"


def _host(text: str) -> str:
    if text.startswith("["):
        host = IPv6Address(text[1:-1])
        return str(host.ipv4_mapped) if host.ipv4_mapped else f"[{host}]"
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if "" in labels or len(name) > HOST_CHARACTERS_MAX:
        raise ValueError(f"{text[:HOST_CHARACTERS_MAX]} is no name of a host")
    if not NUMBER.fullmatch(labels[-1]):
        return name
    try:
        return str(IPv4Address(name))
    except ValueError:
        words = f"{name} is no IPv4 address, expected four numbers from 0 to 255 without zeros"
        raise ValueError(f"{words} before them, as in 127.0.0.1") from None
