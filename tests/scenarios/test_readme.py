"""The sessions of README.md, and that of the asg4 contract, as a person types them.

The commands run in one shell, in a folder that looks like a checkout, at ports of the test's own.
Lines that begin with `$` print what stands below them; `...` stands for any text.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cluster.engines.processes import ProcessEngine
from tests.launching import ROOT
from tests.scenarios.conftest import free_port_block
from tests.scenarios.printed import Example, is_printed
from tests.tables import DOCS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(150)]

RUN_S = 120.0
PORTS, PORT_OF_ALICE = 28000, 8082
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT, GOES_ON = "$ ", "\\\n"
BETWEEN = "-- the next command --"


def section(page: Path, heading: str) -> str:
    """Return what stands under a heading."""
    text = page.read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def examples_in(text: str) -> Iterator[Example]:
    """Yield the commands of a section; one of a block without prompts may print anything."""
    for kind, block in FENCED.findall(text):
        joined = block.replace(GOES_ON, "")
        if kind == "python":
            yield Example(f"python - <<'END'\n{block}END", "...")
        elif block.startswith(PROMPT):
            for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield Example(command, printed.rstrip("\n") or "...")
        else:
            yield from (Example(command, "...") for command in joined.splitlines())


def checkout(folder: Path) -> None:
    """Let a folder look like a checkout in which `make` has nothing to install."""
    for name in ("Makefile", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").mkdir()
    for each in Path(sys.prefix).iterdir():
        if each.name != ".installed":
            (folder / ".venv" / each.name).symlink_to(each)
    (folder / ".venv" / ".installed").touch()


def printed_by(examples: Sequence[Example], folder: Path, first_port: int) -> list[str]:
    """Run all commands in one shell; return what each prints."""
    lines = []
    for example in examples:
        lines += [example.command, f"echo; echo '{BETWEEN}'"]
    script = "\n".join(["exec 2>&1", *lines])
    for place in range(6):
        script = script.replace(
            f"localhost:{PORT_OF_ALICE + place}", f"127.0.0.1:{first_port + place}"
        )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "*"}
    env |= {"ENGINE": "process", "PORT": str(first_port)}
    ended = subprocess.run(
        ["sh", "-c", script], env=env, cwd=folder, capture_output=True, text=True, timeout=RUN_S
    )
    return ended.stdout.replace("\r\n", "\n").split(f"\n{BETWEEN}\n")[:-1]


def test_each_command_prints_what_the_pages_say(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    first = list(examples_in(section(readme, "A first session")))
    contract = list(examples_in(section(DOCS / "dialects.md", "asg4")))
    longer = list(examples_in(section(readme, "A longer session")))
    assert [len(first), len(contract) > 5, len(longer) > 10] == [10, True, True]
    checkout(tmp_path)
    examples = [*first, *contract, *longer]
    try:
        printed = printed_by(examples, tmp_path, free_port_block(6, PORTS))
    finally:
        ProcessEngine("dev", tmp_path / ".cluster").clean()
    assert len(printed) == len(examples)
    for example, output in zip(examples, printed, strict=True):
        assert is_printed(example, output), f"{example.command}\n{output}"
    said = dict(zip((example.command for example in first), printed, strict=False))
    _judge_the_first_session(said)


def _judge_the_first_session(said: dict[str, str]) -> None:
    """Its commands stand without what they print, so it is judged here."""
    [start, wrote, read, _, alone, beside, _, values, resolved, program] = said.values()
    assert "error" not in start
    assert '"copies":3' in wrote
    assert read.endswith('["milk"]')
    assert "Kv-Acks: 1/3" in alone
    assert "Kv-Acks: 2/3" in beside
    assert "has 2 values" in values
    assert resolved.startswith("written: ")
    assert sorted(re.findall(r"\w+", program)) == ["bread", "eggs", "tea"]
