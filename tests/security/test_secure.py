"""SECURE=1: what a node wants before it starts, and what it speaks then."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster.cli import token_commands
from cluster.engines.topology import Trouble
from node.config import read
from node.security.guard import WARNING, Guard
from node.setting_types import BadSetting
from tests.node_process import environment, failed_start
from tests.security.callers import ONE


@pytest.fixture
def secure(tmp_path: Path) -> dict[str, str]:
    """All that SECURE=1 wants."""
    token_commands.create(["read"], "shop", tmp_path / "tokens")
    (tmp_path / "secret").write_bytes(ONE)
    return {
        "SOCKET_ADDRESS": "127.0.0.1:1",
        "SECURE": "1",
        "CLUSTER_SECRET_FILE": str(tmp_path / "secret"),
        "API_TOKENS_FILE": str(tmp_path / "tokens"),
        "TLS": "terminated",
    }


@pytest.mark.parametrize("missing", ["CLUSTER_SECRET_FILE", "API_TOKENS_FILE", "TLS"])
def test_a_secure_node_wants_all_of_it(missing: str, secure: Mapping[str, str]) -> None:
    named = "TLS_CERT" if missing == "TLS" else missing
    with pytest.raises(BadSetting, match=f"{named}=''.*because of SECURE=1"):
        read({**secure, missing: ""}, [])


def test_the_program_says_what_is_missing(tmp_path: Path) -> None:
    line = failed_start(environment(tmp_path, "127.0.0.1:1", SECURE="1"))
    assert line == (
        "coterie: API_TOKENS_FILE='': expected a file with tokens of clients, because of SECURE=1\n"
    )


def test_a_secure_node_speaks_the_contracts_that_are_named(secure: Mapping[str, str]) -> None:
    assert read(secure, []).dialect == ()
    assert read({**secure, "DIALECT": "asg4"}, []).dialect == ("asg4",)
    assert read({**secure, "SECURE": "0"}, []).dialect == ("asg4",)


def test_a_node_warns_once_unless_it_is_secure(
    secure: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    Guard(read(secure, []).security).warn()
    assert caplog.messages == []
    Guard(read({**secure, "SECURE": "0"}, []).security).warn()
    assert caplog.messages == [WARNING]


def test_files_are_read_again_all_or_none(
    secure: Mapping[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = Guard(read(secure, []).security)
    (tmp_path / "tokens").write_text("nonsense")
    (tmp_path / "secret").write_bytes(b"t" + ONE)
    assert not guard.renew()
    assert guard.secrets.is_valid(ONE)
    assert guard.tokens
    (tmp_path / "tokens").unlink()
    token_commands.create(["read"], "shop", tmp_path / "tokens")
    assert guard.renew()
    assert not guard.secrets.is_valid(ONE)
    assert ONE.decode() not in caplog.text


def test_a_token_is_made_for_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tokens"
    for scopes in (["read", "write"], ["admin"]):
        token_commands.create(scopes, "shop", file)
        text = capsys.readouterr().out.strip()
        assert text not in file.read_text()
    settings = read({"SOCKET_ADDRESS": "127.0.0.1:1", "API_TOKENS_FILE": str(file)}, [])
    found = Guard(settings.security).tokens.find(text)
    assert found is not None
    assert (found.name, [scope.value for scope in found.scopes]) == ("shop", ["admin"])
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_token_of_no_scope_is_not_made(tmp_path: Path) -> None:
    for scopes, name in ((["root"], "shop"), (["peers"], "shop"), (["read"], "a b")):
        with pytest.raises(Trouble, match="--scope is"):
            token_commands.create(scopes, name, None)
    with pytest.raises(Trouble, match="cannot write"):
        token_commands.create(["read"], "shop", tmp_path)
