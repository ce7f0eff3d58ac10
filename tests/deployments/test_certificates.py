"""A shard of three nodes that encrypt by themselves: `--tls certificates`, started by Compose.

One certificate names all nodes, and `localhost` for the test.
"""

import sys
from pathlib import Path

import pytest
import trustme

from cluster.engines import docker_image
from tests.coterie_command import PROGRAM
from tests.deployments import deployed
from tests.deployments.deployed import AT_ALL, ask, compose_words, run, until
from tests.launching import free_block

pytestmark = [pytest.mark.xdist_group("docker"), pytest.mark.timeout(240)]

NAME, SIZE = "certified", 3
START_S = 60.0


def make_certificates(folder: Path) -> Path:
    """Write what the nodes read, readable for their user; return the file of the authority."""
    folder.mkdir()
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", *(f"{NAME}-{n}.{NAME}" for n in range(SIZE)))
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    (folder / "tls.crt").write_bytes(chain)
    (folder / "tls.key").write_bytes(leaf.private_key_pem.bytes())
    (folder / "ca.crt").write_bytes(authority.cert_pem.bytes())
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o755)
    return folder / "ca.crt"


def test_nodes_with_certificates_serve(tmp_path: Path) -> None:
    deployed.engine()
    port, authority = free_block(SIZE), make_certificates(tmp_path / "certificates")
    run(
        *(sys.executable, "-c", PROGRAM, str(tmp_path), "deploy", "compose", "--name", NAME),
        *("--shards", "1", "--image", docker_image.TAG, "--tls", "certificates"),
        *("--port", str(port), "--to", str(tmp_path)),
    )
    words = [*compose_words(), "-p", NAME, "-f", str(tmp_path / "compose.yaml")]

    def is_ready() -> bool:
        ports = range(port, port + SIZE)
        return all(ask(each, "GET", "/readyz", authority=authority)[0] == 200 for each in ports)

    run(*words, "down", "--volumes")  # of an interrupted test
    try:
        run(*words, "up", "--no-build", "--detach")
        until(is_ready, START_S, lambda: run(*words, "logs", "--tail", "20"))
        key = ("exec", "-T", f"{NAME}-0", "cat", "/run/secrets/operator-token")
        token = run(*words, *key).strip()
        path = "/v1/kv/cart"
        written = ask(port, "PUT", f"{path}?{AT_ALL}", ["milk"], token, authority)
        assert written[0] == 201, written
        last = port + SIZE - 1
        assert ask(last, "GET", f"{path}?r=one", None, token, authority)[1] == {"value": ["milk"]}
        assert ask(port, "GET", "/readyz")[0] == 0  # no plain HTTP
    finally:
        run(*words, "down", "--volumes")
