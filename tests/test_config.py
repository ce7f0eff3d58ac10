"""Settings: where they come from, and what is said of wrong ones."""

from pathlib import Path

import pytest

from node.config import SETTINGS, BadSetting, HelpWanted, help_text, read

OURS = {"SOCKET_ADDRESS": "10.10.0.2:8090"}


def test_defaults() -> None:
    settings = read(OURS, [])
    assert settings.view == ("10.10.0.2:8090",)
    assert settings.shard_count == 1
    assert settings.data_dir == Path("data/10.10.0.2_8090")
    assert settings.durability == "full"
    assert settings.cache_bytes_max == 64 * 1024 * 1024
    assert settings.value_bytes_max == 1024 * 1024
    assert (settings.repair_every_s, settings.max_wait_s) == (3.0, 2.0)
    assert (settings.enable_faults, settings.uvloop) == (False, True)
    assert (settings.log_format, settings.dialect) == ("text", ("asg4",))
    assert settings.asg_replaced_word == "replaced"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("10.10.0.2:8090", "10.10.0.2", 8090),
        ("node-1.local:1", "node-1.local", 1),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_addresses(address: str, host: str, port: int) -> None:
    settings = read({"SOCKET_ADDRESS": address}, [])
    assert (settings.host, settings.port) == (host, port)


def test_a_view_may_have_spaces() -> None:
    assert read({**OURS, "VIEW": " a:1 ,10.10.0.2:8090, b:2,"}, []).view == (
        "a:1",
        "10.10.0.2:8090",
        "b:2",
    )


def test_flags_equal_the_environment_and_count_more() -> None:
    flags = ["--socket-address", "a:1", "--data-dir=/d", "--uvloop=0", "--enable-faults", "1"]
    settings = read({**OURS, "DATA_DIR": "/e", "MAX_WAIT_S": "0.5"}, flags)
    assert settings.socket_address == "a:1"
    assert settings.data_dir == Path("/d")
    assert (settings.uvloop, settings.enable_faults) == (False, True)
    assert settings.max_wait_s == 0.5


def test_an_empty_value_is_no_value() -> None:
    assert read({**OURS, "VIEW": "", "SHARD_COUNT": ""}, []) == read(OURS, [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOCKET_ADDRESS", ""),
        ("SOCKET_ADDRESS", "10.10.0.2"),
        ("SOCKET_ADDRESS", "10.10.0.2:"),
        ("SOCKET_ADDRESS", "10.10.0.2:0"),
        ("SOCKET_ADDRESS", "10.10.0.2:65536"),
        ("SOCKET_ADDRESS", "::1:80"),
        ("SOCKET_ADDRESS", "http://a:1"),
        ("VIEW", "a:1,b:2"),
        ("VIEW", "10.10.0.2:8090,b"),
        ("VIEW", "10.10.0.2:8090,a:1,a:1"),
        ("SHARD_COUNT", "0"),
        ("SHARD_COUNT", "2"),
        ("SHARD_COUNT", "one"),
        ("DURABILITY", "none"),
        ("CACHE_BYTES_MAX", "1"),
        ("VALUE_BYTES_MAX", "0"),
        ("VALUE_BYTES_MAX", "1e6"),
        ("REPAIR_EVERY_S", "0"),
        ("REPAIR_EVERY_S", "nan"),
        ("MAX_WAIT_S", "-1"),
        ("MAX_WAIT_S", "inf"),
        ("ENABLE_FAULTS", "yes"),
        ("UVLOOP", "2"),
        ("LOG_FORMAT", "xml"),
        ("ASG_REPLACED_WORD", "changed"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read({**OURS, name: value}, [])
    said = str(caught.value)
    assert caught.value.name == name
    assert said.startswith(f"{name}={value!r}: expected ")
    assert "\n" not in said


@pytest.mark.parametrize("flags", [["--data"], ["--colour=1"], ["word"], ["--data-dir"]])
def test_an_unknown_or_bare_flag_is_named(flags: list[str]) -> None:
    with pytest.raises(BadSetting, match=flags[0].partition("=")[0]):
        read(OURS, flags)


def test_help_names_every_setting() -> None:
    with pytest.raises(HelpWanted):
        read({}, ["--help"])
    for setting in SETTINGS:
        assert setting.name in help_text()
        assert setting.flag in help_text()
        assert setting.kind.expected in help_text()
