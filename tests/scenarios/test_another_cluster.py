"""An old client meets a fresh cluster at the same addresses, which refuses its token unharmed."""

from pathlib import Path

import pytest

from cluster.engines.console import Report
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Topology
from tests.scenarios.conftest import free_port_block
from tests.scenarios.script import ask, eventually, get, put

pytestmark = [pytest.mark.xdist_group("processes"), pytest.mark.timeout(120)]

PORTS = 29400
REFUSED = (400, {"error": "this token is of another cluster: begin a new session"})
NAMES_ARE_KNOWN_S = 10.0


def urls_of(topology: Topology) -> list[str]:
    return [f"http://127.0.0.1:{node.port}" for node in topology.nodes]


def session_over(urls: list[str]) -> tuple[list[str], object]:
    """Return keys of both shards, and the token of a client that has written them all."""
    keys, token = [f"key{i}" for i in range(6)], None
    for key in keys:
        token = put(urls[0], key, "first", token)[1]["causal-metadata"]
    return keys, token


def test_a_token_of_the_cluster_before_is_refused_for_good(tmp_path: Path) -> None:
    engine = ProcessEngine("another-cluster", tmp_path)
    options = UpOptions(shards=2, replicas=2, port=free_port_block(4, PORTS), settings={})
    try:
        urls = urls_of(up(engine, options, Report(quiet=True), tmp_path))
        keys, old = session_over(urls)
        engine.clean()
        urls = urls_of(up(engine, options, Report(quiet=True), tmp_path))

        def is_refused_everywhere() -> bool:
            said = [put(url, key, "old", old)[:2] for url in urls for key in keys]
            assert {status for status, _ in said} <= {400, 503}
            return all(answer == REFUSED for answer in said)

        assert eventually(is_refused_everywhere, NAMES_ARE_KNOWN_S)
        for url in urls:
            assert put(url, keys[0], "old", old)[2]["Kv-Outcome"] == "definite"
            for method in ("GET", "DELETE"):
                body = {"causal-metadata": old}
                assert ask(method, f"{url}/kvs/{keys[1]}", body)[:2] == REFUSED
        token = None
        for key in keys:
            assert get(urls[0], key, None)[0] == 404
            status, body, _ = put(urls[1], key, "new", token)
            assert status == 201
            token = body["causal-metadata"]
        assert all(get(url, key, token)[1]["value"] == "new" for url in urls for key in keys)
    finally:
        engine.clean()
