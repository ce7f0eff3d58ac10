"""Check a user's program with `mypy --strict`, as the user would."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"error: .*\[([a-z-]+)\]$", re.MULTILINE)


def complaints(program: str, python: str = sys.executable, **environment: str) -> list[str]:
    """Return the codes of mypy's complaints; `python` is where the client is installed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(program, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--no-error-summary",
        ]
        command += ["--config-file=", f"--python-executable={python}", str(path)]
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    assert (ended.returncode == 0) == (CODE.findall(ended.stdout) == []), ended.stdout
    return CODE.findall(ended.stdout)
