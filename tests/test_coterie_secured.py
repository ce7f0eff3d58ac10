"""The commands about clusters, against real nodes that want a token and speak TLS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.engines.launch import UpOptions, up
from cluster.engines.node_client import CA_VARIABLE, TOKEN_VARIABLE
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import USAGE, Trouble
from node.security.scopes import ALL, ApiScope
from node.security.tokens import new_token
from tests.coterie_command import coterie, done, shards
from tests.launching import QUIET, WAIT_S, free_block
from tests.security.authority import Authority
from tests.security.callers import ONE

pytestmark = pytest.mark.xdist_group("coterie-secured")


class Secured(NamedTuple):
    """Three nodes with all of security on, and what their clients may show."""

    engine: ProcessEngine
    authority: Path
    operator: str
    reader: str


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    home = tmp_path_factory.mktemp("home")
    authority = Authority(home / "authority")
    files = authority.files("127.0.0.1")
    (operator, first), (reader, second) = (
        new_token(scopes, name)
        for scopes, name in ((ALL, "operator"), (frozenset({ApiScope.READ}), "reader"))
    )
    (home / "tokens").write_text(f"{first}\n{second}\n")
    (home / "secret").write_bytes(ONE)
    settings = {
        "SECURE": "1",
        "CLUSTER_SECRET_FILE": str(home / "secret"),
        "API_TOKENS_FILE": str(home / "tokens"),
        "TLS_CERT": str(files.certificate),
        "TLS_KEY": str(files.key),
        "TLS_CA": str(files.authority),
    }
    engine = ProcessEngine("secured", home)
    options = UpOptions(1, 3, port=free_block(4), wait_s=WAIT_S, settings=settings)
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv(CA_VARIABLE, str(authority.file))
            with pytest.raises(Trouble, match="alice is ready, but it wants a token") as trouble:
                up(engine, options, QUIET, home)
            assert trouble.value.code == USAGE
            environment.setenv(TOKEN_VARIABLE, operator)
            up(engine, options, QUIET, home)
        yield Secured(engine, authority.file, operator, reader)
    finally:
        engine.clean()


@pytest.fixture
def shown(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> Secured:
    """The cluster, where the environment has the token of its operator, and its authority."""
    monkeypatch.setenv(CA_VARIABLE, str(secured.authority))
    monkeypatch.setenv(TOKEN_VARIABLE, secured.operator)
    return secured


def test_an_operator_looks_at_it_and_reshapes_it(shown: Secured) -> None:
    engine = shown.engine
    assert "all that answer agree" in done(engine, "status")
    assert done(engine, "put", "cart", "milk")
    assert done(engine, "add").split()[0] == "dave"
    done(engine, "view", "commit", "--shards", "2", "--yes")
    coterie(engine, "view", "watch")
    assert [len(members) for members in shards(engine).values()] == [2, 2]
    assert done(engine, "get", "cart").strip() == "milk"


def test_the_options_count_as_the_environment_does(
    shown: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE)
    monkeypatch.delenv(CA_VARIABLE)
    given = "--token", shown.operator, "--ca", str(shown.authority)
    said = json.loads(done(shown.engine, *given, "status", "--json"))
    assert all(node["ready"] for node in said["nodes"])
    assert said["disagreement"] is None


@pytest.mark.parametrize(
    ("whose", "words"),
    [("nobody", "it wants a token: set COTERIE_TOKEN"), ("reader", "lacks a scope")],
)
def test_a_caller_who_may_not_is_told_what_to_do(
    shown: Secured, monkeypatch: pytest.MonkeyPatch, whose: str, words: str
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, shown.reader if whose == "reader" else "")
    ended = coterie(shown.engine, "view", "commit", "--shards", "1", "--yes")
    assert (ended.returncode, words in ended.stderr) == (1, True), ended.stderr
    status = done(shown.engine, "status")
    assert ("view: it wants a token" in status) == (whose == "nobody")


def test_another_authority_is_none_of_these_nodes(
    shown: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(CA_VARIABLE, str(Authority(tmp_path / "other").file))
    assert "CERTIFICATE_VERIFY_FAILED" in done(shown.engine, "status")
    monkeypatch.setenv(CA_VARIABLE, str(tmp_path / "none"))
    ended = coterie(shown.engine, "status")
    assert (ended.returncode, "no file with certificates" in ended.stderr) == (USAGE, True)
