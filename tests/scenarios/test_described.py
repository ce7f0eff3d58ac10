"""The API does what its description says: about two thousand generated requests to a real cluster.

schemathesis makes them from /openapi.json: examples, bounds, drawn values, and malformed ones.  It
compares each answer with the description: status, content type, headers, body.  The same requests
are made in every run.  /v1/faults is left out, since a cut of a node of this cluster would be
obeyed, and /v1/watch, since its answers do not end.  POST /v1/view is asked for plans; a commit
wants the name of a plan, which no request has.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.conftest import Cluster

ROOT = Path(__file__).parents[2]
CASES_MIN, CASES_OF_AN_OPERATION = 1900, 52
GENERATED = re.compile(r"(\d+) generated, (\d+) passed")
OPTIONS = (
    "--exclude-path=/v1/faults",
    "--exclude-path=/v1/watch",
    "--generation-deterministic",
    f"--max-examples={CASES_OF_AN_OPERATION}",
    # tests/api_checks.py has these two in a stricter form
    "--exclude-checks=not_a_server_error,positive_data_acceptance",
    "--workers=1",
    "--no-shrink",
    "--no-color",
)


REACHED = frozenset(["200", "201", "204", "300", "304", "400", "404", "405", "409", "412"])


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "cluster",
    [pytest.param("process", marks=pytest.mark.xdist_group("processes"))],
    indirect=True,
)
def test_the_api_does_what_its_description_says(cluster: Cluster, tmp_path: Path) -> None:
    url = f"{cluster.urls[cluster.names[0]]}/openapi.json"
    command = [sys.executable, "-m", "schemathesis.cli", "run", url, *OPTIONS]
    statuses = tmp_path / "statuses"
    hooks = {"SCHEMATHESIS_HOOKS": "tests.api_checks", "API_STATUSES": str(statuses)}
    env = {**os.environ, "no_proxy": "*", "PYTHONPATH": str(ROOT), **hooks}
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = GENERATED.search(ended.stdout)
    assert found is not None, ended.stdout
    assert int(found[1]) == int(found[2]) >= CASES_MIN
    assert set(statuses.read_text().split()) >= REACHED
