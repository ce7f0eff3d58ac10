"""The command line of a story: what it prints, and what it exits with."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from examples import basic
from examples.stage import command
from examples.stage.play import Play, Story
from tests.examples.told import golden

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_story_is_the_same_in_every_process(hash_seed: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "examples.basic"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == golden("basic").read_text("utf-8")


def test_where_no_node_answers_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.tell("A title.", basic.story, ["--url", NOBODY]) == command.UNAVAILABLE
    said = capsys.readouterr()
    assert said.err.startswith(f"examples.basic: node1 at {NOBODY} does not answer: ")
    assert "make cluster" in said.err
    assert f"node1 is {NOBODY}" in said.out


class Stranger(BaseHTTPRequestHandler):
    """Answers each GET, and is no node."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base
        """Log nothing."""


def test_what_is_no_node_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            assert command.tell("A title.", basic.story, ["--url", url]) == command.UNAVAILABLE
        finally:
            server.shutdown()
            serving.join()
    assert f"node1 at {url} is no node: it has no /v1/status" in capsys.readouterr().err


def test_what_is_no_url_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.tell("A title.", basic.story, ["--url", "alice"]) == command.UNAVAILABLE
    assert "'alice' is not the URL of a node; expected" in capsys.readouterr().err


def test_more_than_three_nodes_are_a_mistake_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.tell("A title.", basic.story, ["--url", NOBODY] * 4)
    assert ended.value.code == 2
    assert "4 URLs; expected 3 at most" in capsys.readouterr().err


def not_as_told(play: Play) -> None:
    play.check(False, "this is so")


def without_siblings(play: Play) -> None:
    key = play.key("k")
    play.person("Ann").put(key, 1, at=play.alice, w="all")
    play.person("Ann").siblings(key, at=play.bob)


def never_level(play: Play) -> None:
    key = play.key("k")
    play.cut_off(play.carol)
    play.person("Ann").put(key, 1, at=play.alice)
    play.until_level()


def refused(play: Play) -> None:
    play.person("Ann").put(play.key("k" * 1025), 1, at=play.alice)


@pytest.mark.parametrize(
    ("story", "code", "words"),
    [
        (not_as_told, command.WENT_WRONG, "expected that this is so"),
        (without_siblings, command.WENT_WRONG, "Ann expected siblings of k at bob"),
        (refused, command.WENT_WRONG, "1024"),
        (never_level, command.UNAVAILABLE, "the replicas differ after 20 s"),
    ],
)
def test_a_story_that_goes_wrong_says_so(
    story: Story, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.tell("A title.", story, []) == code
    assert words in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_a_story() -> None:
    story = subprocess.Popen(
        [sys.executable, "-m", "examples.counter"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert story.stdout is not None
    story.stdout.readline()
    story.stdout.close()
    assert story.stderr is not None
    assert (story.stderr.read(), story.wait()) == (b"", command.WENT_WELL)
    story.stderr.close()
