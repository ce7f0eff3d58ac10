"""A node has one name: other spellings of an address are that address, or no address."""

import orjson
import pytest
from hypothesis import given, strategies as st

from node.addresses import canonical
from node.api.contract import Ask, Call, Reply, Talk
from node.config import read
from node.core.protocol.operations import Propose
from node.setting_types import BadSetting
from node.shell.http.router import Table
from node.shell.peers.handshake import NAME
from tests.dialects.answering import answering
from tests.dialects.exchanges import DIALECTS, LIMITS
from tests.dialects.nodes import NODES, WRITTEN, facts_at

SAME = {
    "localhost:8090": ["LOCALHOST:8090", "localhost.:8090", "LocalHost:08090"],
    "127.0.0.1:8090": ["127.0.0.1.:8090", "127.0.0.1:08090", "[::ffff:127.0.0.1]:8090"],
    "[::1]:8090": ["[0:0:0:0:0:0:0:1]:8090", "[::0001]:8090", "[0::1]:08090"],
    "[fe80::a]:1": ["[FE80::A]:1", "[fe80:0::a]:1", "[fe80::0.0.0.10]:1"],
    "alice_1.example:65535": ["Alice_1.Example:65535", "alice_1.example.:65535"],
}
NONE = [
    "127.1:8090", "2130706433:8090", "0x7f.0.0.1:8090", "0177.0.0.1:8090", "127.0.0.01:8090",
    "1.2.3.4.5:1", "256.0.0.1:1", "1.2.3:1", "alice.1:1", "0x:1", "alice", "alice:", ":8090",
    "alice:0", "alice:65536", "alice:000000", "..:1", "a..b:1", ".:1", ".a:1", "::1:8090",
    "[::1", "[::1]", "[:::1]:1", "[fe80::1%eth0]:1", "[127.0.0.1]:1", "http://alice:1", "al ice:1",
    "älice:1", "alice:8o9o", "alice:１", "a" * 254 + ":1",
]  # fmt: skip
SPELLINGS = [(one, other) for one, others in SAME.items() for other in (one, *others)]


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_every_spelling_of_an_address_is_that_address(one: str, other: str) -> None:
    assert canonical(other) == one


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address_is_refused_with_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        canonical(text)


@given(st.from_regex(r"[\[\]A-Za-z0-9._:-]{1,40}:[0-9]{1,5}", fullmatch=True))
def test_a_spelling_has_one_spelling_and_nodes_can_say_it(text: str) -> None:
    try:
        address = canonical(text)
    except ValueError:
        return
    assert canonical(address) == address
    assert NAME.fullmatch(address)


# ------------------------------------------------------------------ the doors


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_settings_take_every_spelling(one: str, other: str) -> None:
    settings = read({"SOCKET_ADDRESS": other, "VIEW": f"{one},10.10.0.9:1"}, [])
    assert (settings.socket_address, settings.view) == (one, (one, "10.10.0.9:1"))
    plain = read({"ADDRESS": one, "VIEW": f"10.10.0.9:1,{other}", "REPL_FACTOR": "1"}, [])
    assert plain.view == ("10.10.0.9:1", one)
    urls = read({"PORT": "1", "PEERS": f"http://{other}/"}, []).view
    assert one in urls


@pytest.mark.parametrize("text", [text for text in NONE if "," not in text])
def test_settings_take_no_other(text: str) -> None:
    with pytest.raises(BadSetting):
        read({"SOCKET_ADDRESS": text, "VIEW": "10.10.0.9:1"}, [])
    with pytest.raises(BadSetting):
        read({"SOCKET_ADDRESS": "10.10.0.9:1", "VIEW": f"10.10.0.9:1,{text}"}, [])


def test_one_node_is_named_once_whatever_its_spellings() -> None:
    with pytest.raises(BadSetting, match="again"):
        read({"SOCKET_ADDRESS": "alice:1", "VIEW": "alice:1,ALICE:01"}, [])


FIRST, SECOND = NODES[:2]
LISTED = ",".join([FIRST, "{}"])
DOORS = [
    ("asg4", "PUT", "/view", {"socket-address": "{}"}),
    ("asg4", "DELETE", "/view", {"socket-address": "{}"}),
    ("asg4", "PUT", "/shard/add-member/s1", {"socket-address": "{}"}),
    ("shard_view", "PUT", "/key-value-store-view", {"socket-address": "{}"}),
    ("shard_view", "DELETE", "/key-value-store-view", {"socket-address": "{}"}),
    ("shard_view", "PUT", "/key-value-store-shard/add-member/s1", {"socket-address": "{}"}),
    ("keys_view", "PUT", "/kvs/view-change", {"view": LISTED, "repl-factor": 1}),
    ("admin_view", "PUT", "/kvs/admin/view", {"view": [FIRST, "{}"]}),
    ("admin_view", "PUT", "/kvs/admin/view", {"nodes": [FIRST, "{}"], "num_shards": 1}),
    ("data_view", "PUT", "/view", {"view": [{"address": "{}", "id": 0}]}),
    ("views", "POST", "/v1/view?plan=true", {"nodes": [FIRST, "{}"]}),
    ("views", "POST", "/v1/view?plan=true", {"add": ["{}"]}),
    ("views", "POST", "/v1/view?plan=true", {"remove": ["{}"]}),
]


def at_the_door(door: tuple[str, str, str, object], address: str) -> tuple[int, str]:
    """Return the status (0 where the core is asked), and the request or the answer."""
    name, method, target, fields = door
    dialect = DIALECTS[name]()
    path, _, query = target.partition("?")
    found = Table([dialect]).find(method, path)
    assert found is not None
    endpoint, words = found
    assert endpoint.handler is not None
    body = orjson.dumps(fields).replace(b"{}", address.encode())
    where = (WRITTEN[0], "", "called") if name == "data_view" else (FIRST, "", "first")
    queries = dict([query.split("=")] if query else [])
    call = Call(method, words, queries, {}, body, lambda: facts_at(*where), LIMITS)
    said = answering(endpoint.handler, endpoint.reword)(call)
    if isinstance(said, Talk):
        wanted = next(said.steps)
        while isinstance(wanted, float):
            wanted = said.steps.send([])
        asked: object = wanted[0]
    else:
        asked = said.request if isinstance(said, Ask) else said
    if isinstance(asked, Propose):
        return 0, f"{asked.layout.nodes} {asked.layout.shards} {asked.layout.addresses}"
    assert isinstance(asked, Reply)
    return asked.status, asked.body.decode()


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door[0]} {door[1]} {door[3]}")
@pytest.mark.parametrize("spelling", ["{}.", "0", "Stranger"], ids=["dot", "zeros", "capitals"])
def test_every_contract_takes_every_spelling(
    door: tuple[str, str, str, object], spelling: str
) -> None:
    host, _, port = SECOND.partition(":")
    plain = {"{}.": SECOND, "0": SECOND, "Stranger": "stranger:1"}[spelling]
    other = {"{}.": f"{host}.:{port}", "0": f"{host}:0{port}", "Stranger": "StrangeR.:01"}[spelling]
    assert at_the_door(door, other) == at_the_door(door, plain)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: f"{door[0]} {door[1]} {door[3]}")
def test_every_contract_refuses_what_is_none(door: tuple[str, str, str, object]) -> None:
    status, words = at_the_door(door, "127.1:8090")
    assert status == 400
    assert door[0] == "admin_view" or "four numbers" in words
