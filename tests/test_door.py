"""The port is open before the node can answer: early callers wait, and none is refused."""

import errno
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from node import door


def test_a_taken_port_is_an_error_whenever_it_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        door.open_early({"SOCKET_ADDRESS": f"127.0.0.1:{port}"}, [])
        with pytest.raises(OSError, match="in use"):
            door.opened("127.0.0.1", port)


def test_what_was_opened_early_is_handed_over_once() -> None:
    [free] = door.opened("127.0.0.1", 0)
    port = free.getsockname()[1]
    free.close()
    door.open_early({"SOCKET_ADDRESS": f"127.0.0.1:{port}"}, [])
    with socket.create_connection(("127.0.0.1", port)):
        [early] = door.opened("127.0.0.1", port)
        early.close()
    [later] = door.opened("127.0.0.1", port)
    later.close()


@pytest.mark.parametrize("argv", [["--help"], ["--uvloop", "x"]])
def test_wrong_settings_are_reported_later_by_the_start(argv: list[str]) -> None:
    door.open_early({"SOCKET_ADDRESS": "127.0.0.1:1"}, argv)
    door.open_early({"SOCKET_ADDRESS": "nonsense"}, [])
    assert not door._early


def test_all_interfaces_are_those_of_both_families() -> None:
    sockets = door.opened(None, 0)
    try:
        [port] = {each.getsockname()[1] for each in sockets}
        with socket.create_connection(("127.0.0.1", port)):
            assert socket.AF_INET in {each.family for each in sockets}
    finally:
        for each in sockets:
            each.close()


def test_a_machine_without_ipv6_has_one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def without_ipv6(address: tuple[str, int], **options: Any) -> socket.socket:
        if options["family"] == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return create(address, **options)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    [only] = door.opened(None, 0)
    only.close()
    with pytest.raises(OSError, match="no such address"):
        door.opened("::1", 0)


@pytest.mark.parametrize(
    ("host", "served_at"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::1", "::1"),
        ("10.10.0.2", None),
        ("a1", None),
    ],
)
def test_loopback_is_served_there_only(host: str, served_at: str | None) -> None:
    assert door.listening_host(host) == served_at


NEEDED = {"node", "node.addresses", "node.config", "node.door", "node.setting_types"}
WORDS = {"node.security", "node.security.expected", "node.security.settings"}  # import nothing


def test_the_door_needs_little_of_the_node() -> None:
    """A client waits in vain for as long as the imports of this module take."""
    named = "m.startswith(('node', 'aio', 'ssl'))"
    code = f"import sys, node.door; print(*(m for m in sys.modules if {named}))"
    env = {name: each for name, each in os.environ.items() if not name.startswith("COV")}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    imported = set(said.stdout.split())
    entries = {name for name in imported if name.startswith("node.api")}
    assert imported - entries == NEEDED | WORDS
    assert not any(name.endswith((".handlers", ".contract")) for name in entries)


def test_a_start_imports_what_it_needs_and_no_more() -> None:
    code = "import sys, node.__main__; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    needless = {
        "prometheus_client",
        "node.shell.http.metrics",
        "node.api.dialects.dynamo.handlers",
        "http.server",
    }
    assert not needless & set(said.stdout.split())


def test_a_start_imports_no_applications_of_aiohttp() -> None:
    """The server needs connections, requests and answers; it has a router of its own."""
    code = "import sys, node.__main__; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    applications = {"aiohttp.web", "aiohttp.web_app", "aiohttp.web_runner", "argparse"}
    assert not applications & set(said.stdout.split())


def test_the_door_makes_no_dataclasses() -> None:
    """Python compiles each of them anew at every start."""
    code = "import sys, node.door; print(*sys.modules)"
    env = {name: each for name, each in os.environ.items() if not name.startswith("COV")}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert {"dataclasses", "msgspec", "asyncio"}.isdisjoint(said.stdout.split())


def test_no_certificates_are_read_by_a_start_and_all_of_them_later() -> None:
    code = (
        "import ssl; before = ssl.SSLContext.set_default_verify_paths; import node.shell;"
        "from aiohttp import connector;"
        "print(before is ssl.SSLContext.set_default_verify_paths,"
        " connector._SSL_CONTEXT_VERIFIED.cert_store_stats()['x509'])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "0"]
