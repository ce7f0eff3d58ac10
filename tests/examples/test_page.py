"""The commands of docs/examples.md print what the page says; those with URLs: tests/scenarios."""

import subprocess

import pytest

from tests.examples.page import ROOT, Shown, commands, shown_in
from tests.examples.told import STORIES

SIMULATED = [shown for shown in commands() if "--url" not in shown.command]


def test_the_page_has_every_story() -> None:
    with_output = [shown.command for shown in SIMULATED if shown.parts]
    assert with_output == [f"python -m examples.{name}" for name in STORIES]
    assert len(commands()) > len(SIMULATED)


@pytest.mark.parametrize("shown", SIMULATED, ids=lambda shown: shown.command)
def test_a_command_prints_what_the_page_says(shown: Shown) -> None:
    run = subprocess.run(shown.arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert shown.missing_in(run.stdout) == ""


def test_another_output_is_noticed() -> None:
    shown = shown_in("$ make cluster\n$ python -m examples.x\none\n...\ntwo\nthree\n")
    assert shown == ("python -m examples.x", ["one\n", "two\nthree\n"])
    assert shown.missing_in("one\nmore\ntwo\nthree\n") == ""
    assert shown.missing_in("one\ntwo\nmore\nthree\n") == "two\nthree\n"
    assert shown.missing_in("two\nthree\none\n") == "two\nthree\n"
    assert shown.missing_in("no one\ntwo\nthree\n") == "one\n"
