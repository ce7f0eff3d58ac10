"""What `pip install coterie` gives a program: one package, with types, and one dependency.

The wheel is built with the test environment's hatchling and installed without dependencies, so this
needs no network.  What the client depends on is lent from the test environment.
"""

import subprocess
import sys
import sysconfig
import venv
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.client.typed import ROOT, complaints

pytestmark = pytest.mark.slow

IMPORTS = """
import importlib.util, coterie
print(coterie.__file__)
print([name for name in ("node", "cluster", "tests") if importlib.util.find_spec(name)])
print(coterie.Client("http://localhost:1").token == "")
"""

WRONG = (
    ('kv.put("k", 1, ttl="soon")', "arg-type"),
    ('kv.put("k", 1, tll=5)', "call-arg"),
    ('kv.get("k", r="available")', "arg-type"),
    ('kv.get("k", resolve="mean")', "arg-type"),
    ('kv.get("k").values', "attr-defined"),
    ('list(kv.bulk([("put", "k", 1)]))', "list-item"),
    ('kv.set("k").add(["a"])', "arg-type"),
    ('kv.counter("k").add("1")', "arg-type"),
    ('Policy("k", merge="mean")', "arg-type"),
)


def run(*command: str | Path, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    assert built.returncode == 0, built.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which only the wheel is installed."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    installed = run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stderr
    [site] = folder.glob("lib/python*/site-packages")
    # Python reads no .pth file of a folder that a .pth file names: the checkout stays out of reach.
    (site / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def test_the_wheel_has_one_package_and_one_need(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        needs = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist", [])
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"coterie"}
    assert "coterie/py.typed" in names
    assert [need for need in needs if "extra ==" not in need] == ["httpx2>=2.16"]


def test_a_program_can_import_the_client_and_no_node(python: Path, tmp_path: Path) -> None:
    ended = run(python, "-c", IMPORTS, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    place, others, answers = ended.stdout.splitlines()
    assert Path(place).is_relative_to(python.parents[1])
    assert (others, answers) == ("[]", "True")


def test_the_command_says_that_there_is_no_launcher(python: Path, tmp_path: Path) -> None:
    ended = run(python.with_name("coterie"), "up", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("coterie: this is the client library; ")


def test_the_type_checker_passes_a_program_and_finds_its_mistakes(python: Path) -> None:
    program = (ROOT / "tests/client/user_program.py").read_text(encoding="utf-8")
    client = 'kv = Client("http://localhost:8082")'
    lines = [program, client, *(line for line, _ in WRONG)]
    assert complaints("\n".join(lines), str(python)) == [code for _, code in WRONG]
