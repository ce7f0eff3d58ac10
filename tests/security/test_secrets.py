"""The settings of the cluster's secret: which are taken, and that no value is shown."""

from pathlib import Path

import pytest

from node.config import read
from node.security.expected import SECRET_CHARACTERS_MIN
from node.setting_types import HIDDEN, BadSetting
from tests.node_process import environment, failed_start
from tests.security.callers import ONE, TWO

OURS = {"SOCKET_ADDRESS": "10.10.0.2:8090"}


def test_without_the_settings_there_is_none() -> None:
    assert read(OURS, []).security.secrets() == ()


def test_one_secret_or_two() -> None:
    for text, secrets in ((ONE.decode(), (ONE,)), (f"{ONE.decode()}  {TWO.decode()}", (ONE, TWO))):
        assert read({**OURS, "CLUSTER_SECRET": text}, []).security.secrets() == secrets


def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(ONE + b"\n")
    settings = read(OURS, ["--cluster-secret-file", str(path)])
    assert settings.security.secrets() == (ONE,)
    path.write_bytes(TWO + b"\n" + ONE + b"\n")
    assert settings.security.secrets() == (TWO, ONE)


@pytest.mark.parametrize(
    "weak",
    [
        "changeme",
        "x" * (SECRET_CHARACTERS_MIN - 1),
        "x" * SECRET_CHARACTERS_MIN,
        "secret" * 10,
        f"{ONE.decode()} short",
        f"{ONE.decode()} {TWO.decode()} {ONE.decode()}",
        "\xe9" + ONE.decode(),
    ],
)
def test_a_weak_secret_is_refused_and_not_shown(weak: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(weak)
    for given, shown in (
        ({"CLUSTER_SECRET": weak}, HIDDEN),
        ({"CLUSTER_SECRET_FILE": str(path)}, str(path)),
    ):
        with pytest.raises(BadSetting) as refusal:
            read({**OURS, **given}, [])
        assert refusal.value.value == shown
        assert weak not in str(refusal.value)


def test_a_file_that_is_empty_or_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing", "."):
        with pytest.raises(BadSetting, match="CLUSTER_SECRET_FILE"):
            read({**OURS, "CLUSTER_SECRET_FILE": str(tmp_path / name)}, [])


def test_both_settings_are_one_too_many(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(ONE)
    both = {"CLUSTER_SECRET": TWO.decode(), "CLUSTER_SECRET_FILE": str(path)}
    with pytest.raises(BadSetting, match="none beside CLUSTER_SECRET"):
        read({**OURS, **both}, [])


def test_a_secret_is_no_flag(tmp_path: Path) -> None:
    """All users of a machine see the flags of its processes."""
    for flags in (["--cluster-secret", ONE.decode()], [f"--cluster-secret={ONE.decode()}"]):
        line = failed_start(environment(tmp_path, "127.0.0.1:1"), *flags)
        assert "--cluster-secret" in line
        assert ONE.decode() not in line
