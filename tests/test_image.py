"""The image without an engine: the mirror, pip's configuration, when to give a pull up."""

import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from cluster.engines import docker_image
from cluster.engines.console import Report
from cluster.engines.docker_base_image import mirror_in_deb822, mirror_in_list, pip_configuration
from node.config import read

STANZAS = """\
Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm

Types: deb
# a comment
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror.example/debian http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


def test_the_mirror_is_the_one_of_the_release_itself() -> None:
    assert mirror_in_deb822(STANZAS) == "http://mirror.example/debian"
    assert mirror_in_deb822(STANZAS.replace("Components", "Enabled: no\nComponents")) is None
    assert mirror_in_deb822("") is None


@pytest.mark.parametrize(
    ("line", "mirror"),
    [
        ("deb http://mirror.example/debian bookworm main", "http://mirror.example/debian"),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/d bookworm main",
            "http://m.example/d",
        ),
        ("deb http://mirror.example/debian bookworm-updates main", None),
        ("deb-src http://mirror.example/debian bookworm main", None),
        ("# deb http://mirror.example/debian bookworm main", None),
        ("", None),
    ],
)
def test_one_line_sources(line: str, mirror: str | None) -> None:
    assert mirror_in_list(f"# first\n{line}\n") == mirror


def test_pip_is_told_what_holds_elsewhere_and_nothing_of_this_disk() -> None:
    listed = """\
:env:.default-timeout='180'
:env:.find-links='/opt/wheels'
global.cert='/home/ada/bundle.crt'
global.index-url='https://index.example/simple'
global.extra-index-url='https://a.example/\\nhttps://b.example/'
"""
    assert pip_configuration(listed).splitlines() == [
        "[global]",
        "cert = /etc/ssl/certs/ca-certificates.crt",
        "timeout = 180",
        "index-url = https://index.example/simple",
        "extra-index-url = https://a.example/",
        "    https://b.example/",
    ]


def silent() -> Iterator[dict[str, str]]:
    """Say one thing, then nothing until the client gives up."""
    yield {"status": "Pulling"}
    raise requests.exceptions.ReadTimeout("no bytes")


def health_check() -> list[str]:
    """Return the command by which an engine checks a container's health."""
    text = (docker_image.ROOT / "Dockerfile").read_text()
    line = text.partition("HEALTHCHECK")[2].partition("CMD ")[2].partition("\n")[0]
    command: list[str] = json.loads(line)
    return command


def checked(told: dict[str, str], at: str = "/dev/tcp/127.0.0.1") -> int:
    """Return the exit code of the check in a container with this environment and these ports."""
    *shell, script = health_check()
    ended = subprocess.run(
        [*shell, script.replace("/dev/tcp/127.0.0.1", at)], env=told, check=False, timeout=20
    )
    return ended.returncode


@pytest.mark.parametrize(
    ("told", "port"),
    [
        ({"SOCKET_ADDRESS": "10.10.0.2:8090", "ADDRESS": "10.10.0.2:1"}, 8090),
        ({"SOCKET_ADDRESS": "[fd00::2]:8090"}, 8090),
        ({"ADDRESS": "10.10.0.2:13800", "PORT": "1"}, 13800),
        ({"NODE_IDENTIFIER": "0", "PORT": "1"}, 8081),
        ({"PORT": "8001", "PEERS": "http://localhost:8002"}, 8001),
    ],
)
def test_a_container_asks_after_its_health_where_its_node_listens(
    told: dict[str, str], port: int, tmp_path: Path
) -> None:
    """A file stands for each port: one that is not there cannot be opened."""
    for each in (1, 8081, 8090, 13800, 8001):
        (tmp_path / str(each)).touch()
    checked(told, str(tmp_path))
    asked = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.stat().st_size}
    assert asked == {str(port): b"GET /livez HTTP/1.0\r\n\r\n"}
    assert read(told, []).port == port


def test_a_container_with_tls_is_well_while_its_port_is_open() -> None:
    """The check speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = {"PORT": str(server.getsockname()[1]), "TLS_CERT": "/run/node.pem"}
        assert checked(told) == 0
    assert checked(told) == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"HTTP/1.0 200 OK\r\n", 0),
        (b"HTTP/1.1 200 OK\r\n", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n", 1),
        (b"HTTP/1.1 500 a 200 would be fine\r\n", 1),
        (b"", 1),
        (None, 1),
    ],
)
def test_a_container_is_well_while_its_node_says_so(said: bytes | None, code: int) -> None:
    """None: no node listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            with server.accept()[0] as caller:
                caller.recv(1000)
                caller.sendall(said or b"")

        if said is None:
            server.close()
        thread = threading.Thread(target=answer if said is not None else lambda: None)
        thread.start()
        assert checked({"SOCKET_ADDRESS": f"10.10.0.2:{port}"}) == code
        thread.join(10)


def test_a_node_that_says_nothing_is_not_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        at = f"10.10.0.2:{server.getsockname()[1]}"
        assert checked({"SOCKET_ADDRESS": at}) != 0


def test_an_image_leaves_no_volume_without_a_name_behind() -> None:
    lines = (docker_image.ROOT / "Dockerfile").read_text().splitlines()
    assert not [line for line in lines if line.startswith("VOLUME")]


class Engine:
    """An engine whose pull returns or raises what it was given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def pull(self, *_: str, **__: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ([{"status": "Pulling"}, {"status": "Done"}], None),
        ([{"status": "Pulling"}, {"error": "denied"}], "denied"),
        (silent(), "silent for 20 s"),
        (requests.exceptions.ConnectionError("refused"), "silent for 20 s"),
        (docker.errors.APIError("500", explanation='Get "x": dial: no such host'), "no such host"),
    ],
)
def test_why_a_base_cannot_be_had(
    answer: Any, problem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_image, "_patient", lambda _timeout_s: Engine(answer))
    assert docker_image.pull() == problem


def test_two_launchers_build_the_image_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waits, order = threading.Event(), []

    class Noting(Report):
        def note(self, text: str) -> None:
            assert "built already" in text
            waits.set()

    def second() -> None:
        with docker_image.alone(Noting(quiet=True)):
            order.append("second")

    thread = threading.Thread(target=second)
    with docker_image.alone(Report(quiet=True)):
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
