"""Settings: where they come from, and what a node says of wrong ones."""

from pathlib import Path

import pytest

from node.__main__ import dialects_of, start_of
from node.api.dialects.data_view.names import name_of
from node.api.dialects.listing import BY_NAME
from node.config import SETTINGS, HelpWanted, help_text, read
from node.core.model.options import Start
from node.core.model.placement import first_view
from node.core.model.view import no_view
from node.setting_types import BadSetting
from node.shell.http.router import Table

OURS = {"SOCKET_ADDRESS": "10.10.0.2:8090"}


def test_defaults() -> None:
    settings = read(OURS, [])
    assert settings.view == ("10.10.0.2:8090",)
    assert settings.shard_count is None
    assert settings.data_dir == Path("data/10.10.0.2_8090")
    assert settings.durability == "full"
    assert settings.cache_bytes_max == 64 * 1024 * 1024
    assert settings.value_bytes_max == 1024 * 1024
    assert (settings.repair_every_s, settings.max_wait_s) == (3.0, 2.0)
    assert (settings.enable_faults, settings.uvloop) == (False, True)
    assert (settings.log_format, settings.dialect) == ("text", ("asg4", "dynamo", "peers"))
    assert settings.own["ASG_REPLACED_WORD"] == "replaced"


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


def test_how_many_shards_may_be_left_open() -> None:
    view = {**OURS, "VIEW": "10.10.0.2:8090,b:2"}
    assert read(view, []).shard_count is None
    assert read({**view, "SHARD_COUNT": " "}, []).shard_count is None
    assert read({**view, "SHARD_COUNT": "2"}, []).shard_count == 2
    assert read(view, ["--shard-count=1"]).shard_count == 1


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
        ("SHARD_COUNT", "4097"),
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


# ------------------------------------------------------------------ what the settings' names tell

ALL = "10.10.0.2:13800,10.10.0.3:13800,10.10.0.4:13800,10.10.0.5:13800"


@pytest.mark.parametrize(
    ("given", "dialect"),
    [
        ({"SOCKET_ADDRESS": "10.10.0.2:8090"}, "asg4,dynamo,peers"),
        ({"SOCKET_ADDRESS": "10.10.0.2:8090", "VIEW": "10.10.0.2:8090"}, "asg4,dynamo,peers"),
        ({"SOCKET_ADDRESS": "10.10.0.2:8091"}, "asg4"),
        ({"SOCKET_ADDRESS": "10.10.0.2:8085"}, "shard_view"),
        ({"SOCKET_ADDRESS": "10.10.0.2:18085"}, "asg4"),
        ({"SOCKET_ADDRESS": "10.10.0.2:8090", "ADDRESS": "10.10.0.2:13800"}, "asg4,dynamo,peers"),
        ({"ADDRESS": "10.10.0.2:13800", "VIEW": "10.10.0.2:13800"}, "keys_view"),
        ({"ADDRESS": "10.10.0.2:13800"}, "admin_view"),
        ({"NODE_IDENTIFIER": "0"}, "data_view"),
        ({"NODE_IDENTIFIER": "0", "ADDRESS": "10.10.0.2:13800"}, "admin_view"),
    ],
)
def test_the_dialect_is_known_by_the_settings_that_are_given(
    given: dict[str, str], dialect: str
) -> None:
    for said in ({}, {"DIALECT": "auto"}, {"DIALECT": ""}):
        assert read({**given, **said}, []).dialect == tuple(dialect.split(","))
    assert read({**given, "DIALECT": "native"}, []).dialect == ("native",)


def test_admin_view_takes_larger_values_unless_told_otherwise() -> None:
    largest = {"ADDRESS": "a:1"}
    assert read(largest, []).value_bytes_max == 16 * 1024 * 1024
    assert read({**largest, "VALUE_BYTES_MAX": "7"}, []).value_bytes_max == 7
    assert read({"ADDRESS": "a:1", "VIEW": "a:1"}, []).value_bytes_max == 1024 * 1024


def test_the_first_name_of_our_address_counts_and_the_other_is_not_even_read() -> None:
    assert read({"ADDRESS": "a:1"}, []).socket_address == "a:1"
    assert read({**OURS, "ADDRESS": "nonsense"}, []).socket_address == OURS["SOCKET_ADDRESS"]
    assert read({}, ["--address=a:1"]).socket_address == "a:1"
    with pytest.raises(BadSetting, match=r"^ADDRESS='nonsense'"):
        read({"ADDRESS": "nonsense"}, [])


def test_a_node_that_is_only_named_listens_where_its_contract_says() -> None:
    settings = read({"NODE_IDENTIFIER": "2"}, [])
    assert (settings.host, settings.port) == ("0.0.0.0", 8081)
    assert settings.data_dir == Path("data/node-2")
    assert settings.node_name == name_of("2") == "node-2"


def test_its_name_stays_wherever_it_listens() -> None:
    given = {"NODE_IDENTIFIER": "2", "DIALECT": "data_view", "SOCKET_ADDRESS": "127.0.0.1:1"}
    settings = read(given, [])
    assert (settings.host, settings.port) == ("127.0.0.1", 1)
    assert settings.node_name == "node-2"
    assert settings.data_dir == Path("data/node-2")
    assert read({**OURS, "NODE_IDENTIFIER": "2"}, []).node_name == OURS["SOCKET_ADDRESS"]


@pytest.mark.parametrize(
    "given",
    [
        {"NODE_IDENTIFIER": "a b"},
        {"NODE_IDENTIFIER": "n" * 65},
        {"SOCKET_ADDRESS": "127.0.0.1:1", "DIALECT": "data_view"},
    ],
)
def test_a_node_of_data_view_needs_a_name(given: dict[str, str]) -> None:
    with pytest.raises(BadSetting) as caught:
        read(given, [])
    assert caught.value.name == "NODE_IDENTIFIER"


@pytest.mark.parametrize(("factor", "shards"), [("1", 4), ("2", 2), ("3", 1), ("4", 1)])
def test_how_many_nodes_hold_a_key_makes_the_shards(factor: str, shards: int) -> None:
    given = {"ADDRESS": "10.10.0.2:13800", "VIEW": ALL, "REPL_FACTOR": factor}
    assert read(given, []).shard_count == shards


def test_other_contracts_do_not_heed_how_many_nodes_hold_a_key() -> None:
    assert read({**OURS, "REPL_FACTOR": "3"}, []).shard_count is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("REPL_FACTOR", {"REPL_FACTOR": "5"}),
        ("REPL_FACTOR", {"REPL_FACTOR": "0"}),
        ("REPL_FACTOR", {"REPL_FACTOR": "two"}),
        ("REPL_FACTOR", {"REPL_FACTOR": "2", "SHARD_COUNT": "2"}),
        ("VIEW", {"VIEW": ALL + ",10.10.0.3:13800"}),
        ("VIEW", {"VIEW": "10.10.0.2"}),
    ],
)
def test_a_wrong_value_of_keys_view_is_named(name: str, given: dict[str, str]) -> None:
    with pytest.raises(BadSetting) as caught:
        read({"ADDRESS": "10.10.0.2:13800", "VIEW": ALL, **given}, [])
    assert caught.value.name == name


NODES = tuple(ALL.split(","))
LATE = "10.10.0.9:13800"


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"ADDRESS": NODES[0], "VIEW": ALL, "REPL_FACTOR": "2"}, Start(first_view(NODES, 2))),
        ({"ADDRESS": NODES[0], "VIEW": NODES[0]}, Start(first_view(NODES[:1], 1))),
        ({"ADDRESS": LATE, "VIEW": ALL, "REPL_FACTOR": "2"}, Start(no_view(NODES))),
        ({"ADDRESS": NODES[0], "VIEW": ALL}, Start(no_view(NODES))),
        ({"ADDRESS": NODES[0]}, Start(no_view(()))),
        ({"NODE_IDENTIFIER": "0"}, Start(no_view(()))),
        ({"NODE_IDENTIFIER": "0", "SHARD_COUNT": "1"}, Start(no_view(()))),
    ],
)
def test_a_node_that_the_view_does_not_name_waits_for_another(
    given: dict[str, str], start: Start
) -> None:
    assert start_of(read(given, [])) == start


def test_dialects_are_spoken_together_where_they_can_be() -> None:
    settings = read({**OURS, "DIALECT": "asg4,keys_view"}, [])
    names = [dialect.name for dialect in dialects_of(settings)]
    assert names[:2] == ["asg4", "keys_view"]
    assert {"asg4", "dynamo", "admin_view", "data_view", "keys_view", "shard_view"} <= set(BY_NAME)


def test_what_stands_beside_each_other_by_default_shares_no_route() -> None:
    Table(dialects_of(read(OURS, [])))
    with pytest.raises(ValueError, match="dynamo and dynamo both claim POST /storeData"):
        Table(dialects_of(read({**OURS, "DIALECT": "dynamo,asg4,dynamo"}, [])))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({**OURS, "DIALECT": "esperanto"}, "names among: admin_view, asg3, asg4"),
        ({**OURS, "DIALECT": "asg4,shard_view"}, "shard_view without any other"),
        ({**OURS, "DIALECT": "asg4,auto"}, "names among"),
        ({"NODE_IDENTIFIER": "0", "DIALECT": "data_view,asg4"}, "data_view without any other"),
    ],
)
def test_a_dialect_that_cannot_be_spoken_is_named(given: dict[str, str], words: str) -> None:
    with pytest.raises(BadSetting, match=words) as caught:
        dialects_of(read(given, []))
    assert caught.value.name == "DIALECT"
