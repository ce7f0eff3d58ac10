"""The commands that `coterie up` suggests work as printed, in every contract."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.cli.first_commands import first_words
from cluster.engines import node_client
from cluster.engines.console import Report
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from node.api.dialects.listing import BY_NAME
from tests.scenarios.conftest import free_port_block

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(90)]

PORTS = 29000
LOOP = re.compile(r"for port in \$\(seq (\d+) (\d+)\); do (.*); done")


def acted_out(line: str) -> list[tuple[int, str]]:
    """Do what a line says, which is a curl, or one for each port."""
    loop = LOOP.fullmatch(line)
    if loop is not None:
        ports = range(int(loop[1]), int(loop[2]) + 1)
        return [one for port in ports for one in acted_out(loop[3].replace("$port", str(port)))]
    words = shlex.split(line)
    assert words[0] == "curl"
    url = urlsplit(next(word for word in words if word.startswith("http")))
    said = dict(pairwise(words))
    body = json.loads(said["-d"]) if "-d" in said else None
    assert url.port is not None
    target = f"{url.path}?{url.query}" if url.query else url.path
    return [node_client.ask(said.get("-X", "GET"), url.port, target, body)]


@pytest.mark.parametrize("contract", sorted(set(BY_NAME) - {"asg3"}))
def test_the_first_words_work(contract: str, tmp_path: Path) -> None:
    engine = ProcessEngine("first-words", tmp_path)
    settings = {} if contract == "asg4" else {"DIALECT": contract}
    options = UpOptions(shards=2, replicas=2, port=free_port_block(4, PORTS), settings=settings)
    try:
        topology = up(engine, options, Report(quiet=True), tmp_path)
        *lines, last = first_words(topology)
        assert last.endswith("coterie status --name first-words")
        answers = [answer for line in lines for answer in acted_out(line)]
        assert {status for status, _ in answers} <= {200, 201}, answers
        assert "hello" in answers[-1][1]
    finally:
        engine.clean()
