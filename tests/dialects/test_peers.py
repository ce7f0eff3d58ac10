"""The peers contract: its exchanges go as written; its flags; contracts that it can stand
beside.
"""

from pathlib import Path

import orjson
import pytest

from node import door
from node.__main__ import dialects_of, start_of
from node.api.contract import Ask, Call, Dialect, Reply, Route
from node.api.dialects.listing import BY_NAME
from node.api.dialects.peers.handlers import KEY_BYTES_MAX, peers
from node.api.parsing import refused
from node.config import read
from node.core.model.options import Start
from node.core.model.placement import first_view
from node.core.protocol.operations import Get, Put
from node.setting_types import BadSetting
from node.shell.http.router import Table
from tests.dialects.answering import handlers_of
from tests.dialects.exchanges import HERE, LIMITS, played_file
from tests.dialects.nodes import NODES, facts_at

ROUTES = handlers_of(peers())
OTHERS = "http://localhost:8002,http://localhost:8003"
FLAGS = ["--port", "8001", "--peers", OTHERS, "--pingfreq", "10", "--timeout", "15"]
APART = {"peers", "shard_view", "data_view", "causal"}  # of other routes, or with one of these
THREE = ("localhost:8001", "localhost:8002", "localhost:8003")


def test_goes_as_written() -> None:
    path = HERE / "peers.txt"
    assert played_file(path) == path.read_text()


def test_every_route_has_an_exchange() -> None:
    text = (HERE / "peers.txt").read_text()
    for method, pattern in ROUTES:
        assert f"\n{method} {pattern}" in text


@pytest.mark.parametrize("envelope", ["k", "é"])
def test_a_key_has_a_bound(envelope: str) -> None:
    longest = envelope * (KEY_BYTES_MAX // len(envelope.encode()))
    for key, is_taken in ((longest, True), (longest + "k", False)):
        body = orjson.dumps({"key": key, "value": 1})
        for method, pattern in (("POST", "/store"), ("GET", "/store/key")):
            call = Call(method, {}, {}, {}, body, lambda: facts_at(NODES[0]), LIMITS)
            said = ROUTES[method, pattern](call)
            if is_taken:
                assert isinstance(said, Ask)
                assert isinstance(said.request, Put | Get)
                assert said.request.key == key
            else:
                assert said == refused(400, f"key has more than {KEY_BYTES_MAX} bytes")


# ------------------------------------------------------------------ flags


def test_flags_and_environment_say_the_same() -> None:
    environ = {"PORT": "8001", "PEERS": OTHERS, "PINGFREQ": "10", "TIMEOUT": "15"}
    settings = read({}, FLAGS)
    assert read(environ, []) == settings
    assert (settings.socket_address, settings.view) == (THREE[0], THREE)
    assert (settings.repair_every_s, settings.max_wait_s) == (10.0, 15.0)
    assert settings.dialect == ("peers",)
    assert settings.data_dir == Path("data/localhost_8001")
    assert start_of(settings) == Start(first_view(THREE, 1))
    assert (door.listening_host(settings.host), settings.port) == ("localhost", 8001)


@pytest.mark.parametrize(
    ("port", "others"),
    [
        ("8002", "localhost:8003,http://localhost:8001/"),
        ("8003", "http://localhost:8001/, http://localhost:8002, http://localhost:8003"),
    ],
)
def test_all_nodes_make_one_view_of_it(port: str, others: str) -> None:
    settings = read({}, [f"--port={port}", f"--peers={others}"])
    assert settings.view == THREE
    assert settings.socket_address == f"localhost:{port}"
    assert (settings.repair_every_s, settings.max_wait_s) == (3.0, 2.0)


def test_ports_are_in_the_order_of_numbers() -> None:
    assert read({}, ["--port=10001", "--peers=a:9001"]).view == ("a:9001", "a:10001")


def test_a_node_of_its_own() -> None:
    settings = read({}, ["--port=8001"])
    assert (settings.socket_address, settings.view) == ("localhost:8001", ("localhost:8001",))


def test_nodes_on_several_hosts_say_where_they_are() -> None:
    flags = ["--peers=http://two:8001,http://three:8001", "--pingfreq=1"]
    settings = read({"SOCKET_ADDRESS": "one:8001"}, flags)
    assert settings.view == ("one:8001", "three:8001", "two:8001")
    assert (settings.dialect, settings.shard_count) == (("peers",), 1)
    assert settings.repair_every_s == 1.0


def test_what_has_a_name_of_ours_counts_more() -> None:
    ours = {"REPAIR_EVERY_S": "4", "MAX_WAIT_S": "5", "DIALECT": "asg4,peers", "SHARD_COUNT": "2"}
    settings = read(ours, FLAGS)
    assert (settings.repair_every_s, settings.max_wait_s) == (4.0, 5.0)
    assert (settings.dialect, settings.shard_count) == (("asg4", "peers"), 2)


@pytest.mark.parametrize(
    "given",
    [
        {"SOCKET_ADDRESS": "a:1"},
        {"SOCKET_ADDRESS": "a:1", "VIEW": "a:1", "PEERS": "nonsense"},
        {"ADDRESS": "a:1"},
        {"NODE_IDENTIFIER": "1"},
    ],
)
def test_a_port_that_was_meant_for_others_changes_nothing(given: dict[str, str]) -> None:
    strays = {"PORT": "nonsense", "TIMEOUT": "nonsense", "PINGFREQ": "9"}
    assert read({**given, **strays}, []) == read(given, [])


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("PORT", ["--port=0"]),
        ("PORT", ["--port=http"]),
        ("PORT", [f"--peers={OTHERS}"]),
        ("PEERS", ["--port=1", "--peers=localhost"]),
        ("PEERS", ["--port=1", "--peers=https://localhost:2"]),
        ("PEERS", ["--port=1", "--peers=http://localhost:2/path"]),
        ("PEERS", ["--port=1", "--peers=a:2,b:2"]),
        ("PINGFREQ", [*FLAGS, "--pingfreq=0"]),
        ("PINGFREQ", [*FLAGS, "--pingfreq=often"]),
        ("TIMEOUT", [*FLAGS, "--timeout=61"]),
        ("TIMEOUT", [*FLAGS, "--timeout=-1"]),
    ],
)
def test_a_wrong_flag_is_named(name: str, flags: list[str]) -> None:
    with pytest.raises(BadSetting) as caught:
        read({}, flags)
    assert caught.value.name == name


# ------------------------------------------------------------------ beside others


def test_stands_beside_the_default_contract_at_its_port() -> None:
    settings = read({"SOCKET_ADDRESS": "10.10.0.2:8090"}, [])
    names = [dialect.name for dialect in dialects_of(settings)]
    assert names[0] == "asg4"
    assert "peers" in names
    table = Table(dialects_of(settings))
    for method, pattern in ROUTES:
        assert table.at(method, pattern).owner == "peers"
    found = table.find("GET", "/kvs/ping")
    assert found is not None
    assert found[0].owner == "asg4"


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - APART))
def test_stands_beside_every_other_that_is_not_meant_to_be_alone(name: str) -> None:
    settings = read({"SOCKET_ADDRESS": "a:1"}, [f"--dialect={name},peers"])
    assert Table(dialects_of(settings)).at("GET", "/ping").owner == "peers"


@pytest.mark.parametrize("route", [("POST", "/replicate"), ("GET", "/ping")])
def test_another_contract_with_a_route_of_it_is_refused(route: tuple[str, str]) -> None:
    def handler(call: Call) -> Reply:
        return refused(404, "nobody")

    other = Dialect("causal", (Route(*route, handler),), lambda path: refused(404, path))
    with pytest.raises(ValueError, match="peers and causal both claim"):
        Table([peers(), other])
