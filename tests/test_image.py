"""The image without an engine: the mirror, what pip is told, when a pull is given up."""

import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests.exceptions

from cluster import image
from cluster.debian import mirror_in_deb822, mirror_in_list, pip_configuration
from cluster.report import Report
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


@pytest.mark.parametrize(
    ("told", "port"),
    [
        ({"SOCKET_ADDRESS": "10.10.0.2:8090", "ADDRESS": "10.10.0.2:1"}, 8090),
        ({"ADDRESS": "10.10.0.2:13800", "PORT": "1"}, 13800),
        ({"NODE_IDENTIFIER": "0", "PORT": "1"}, 8081),
        ({"PORT": "8001", "PEERS": "http://localhost:8002"}, 8001),
    ],
)
def test_a_container_asks_after_its_health_where_its_node_listens(
    told: dict[str, str], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (image.ROOT / "Dockerfile").read_text()
    command = json.loads(text.partition("HEALTHCHECK")[2].partition("CMD ")[2].partition("\n")[0])
    asked: list[str] = []
    monkeypatch.setattr("os.environ", told)
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: asked.append(url))
    exec(command[2], {})
    assert asked == [f"http://127.0.0.1:{port}/livez"]
    assert read(told, []).port == port


class Engine:
    """An engine whose pull answers, or raises, what it was given."""

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
    monkeypatch.setattr(image, "_patient", lambda _timeout_s: Engine(answer))
    assert image.pull() == problem


def test_two_who_build_the_image_build_it_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waits, order = threading.Event(), []

    class Noting(Report):
        def note(self, text: str) -> None:
            assert "built already" in text
            waits.set()

    def second() -> None:
        with image.alone(Noting(quiet=True)):
            order.append("second")

    thread = threading.Thread(target=second)
    with image.alone(Report(quiet=True)):
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
