"""The shape of a cluster is arithmetic: tables of inputs and results."""

import json
import re

import pytest

from cluster.engines.topology import (
    EngineKind,
    Topology,
    Trouble,
    automatic_range,
    counted,
    cuts_of,
    disagreement,
    first_free_block,
    free_subnet,
    gateway_of,
    groups_of,
    name_of,
    overlapping,
    shard_of,
)


def shape(shards: int = 2, replicas: int = 3, engine: EngineKind = "docker") -> Topology:
    """Return the default cluster, with the given differences."""
    return Topology("dev", shards, replicas, engine, "10.10.0.0/16" if engine == "docker" else "")


@pytest.mark.parametrize(
    ("index", "name"), [(0, "alice"), (5, "frank"), (9, "judy"), (10, "n11"), (63, "n64")]
)
def test_names(index: int, name: str) -> None:
    assert name_of(index) == name


def test_the_default_cluster_is_the_documented_one() -> None:
    nodes = shape().nodes
    assert [node.name for node in nodes] == ["alice", "bob", "carol", "dave", "erin", "frank"]
    assert nodes[0].address == "10.10.0.2:8090"
    assert nodes[5].address == "10.10.0.7:8090"
    assert [node.url for node in nodes[:2]] == ["http://localhost:8082", "http://localhost:8083"]
    view = shape().environment(nodes[0])["VIEW"]
    assert view == ",".join(f"10.10.0.{last}:8090" for last in range(2, 8))


def test_processes_have_the_same_host_ports_on_loopback() -> None:
    nodes = shape(engine="process").nodes
    assert [node.host_port for node in nodes] == [node.host_port for node in shape().nodes]
    assert nodes[2].address == "127.0.0.1:8084"


def test_every_node_is_told_the_same_view_and_its_own_address() -> None:
    topology = Topology("dev", 2, 1, "process", settings={"DURABILITY": "os", "VIEW": "no"})
    for node in topology.nodes:
        assert topology.environment(node) == {
            "DIALECT": "asg4,dynamo,peers",
            "DURABILITY": "os",
            "SOCKET_ADDRESS": node.address,
            "VIEW": "127.0.0.1:8082,127.0.0.1:8083",
            "SHARD_COUNT": "2",
            "ENABLE_FAULTS": "1",
        }


def test_a_later_node_is_told_of_all_and_asks_them() -> None:
    topology = Topology("dev", 2, 1, "process").larger()
    alice, _, carol = topology.nodes
    assert topology.environment(alice)["VIEW"] == "127.0.0.1:8082,127.0.0.1:8083"
    assert topology.environment(carol)["VIEW"] == "127.0.0.1:8082,127.0.0.1:8083,127.0.0.1:8084"
    assert "SHARD_COUNT" not in topology.environment(carol)
    assert topology.shape == "2 shards x 1 replica and 1 node added"


def test_where_views_are_put_no_node_is_told_one() -> None:
    topology = Topology("dev", 2, 1, "process", settings={"DIALECT": "admin_view"})
    told = topology.environment(topology.nodes[0])
    assert {"VIEW", "SHARD_COUNT"} & set(told) == set()


def test_a_topology_survives_being_written_down() -> None:
    topology = Topology("lab", 3, 2, "docker", "10.12.0.0/16", 9000, {"DURABILITY": "os"})
    assert Topology.from_json(json.loads(json.dumps(topology.to_json()))) == topology


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shards": 0}, "shards is 0; expected at least 1"),
        ({"replicas": -1}, "replicas is -1"),
        ({"shards": 13, "replicas": 5}, "expected at most 64"),
        ({"base_port": 65531}, "leaves no room for 6 ports"),
        ({"base_port": 0}, "expected 1 to 65530"),
        ({"subnet": "10.10.0.1/16"}, "host bits set"),
        ({"subnet": "nonsense"}, 'subnet "nonsense" is not usable'),
        ({"subnet": "10.10.0.0/29"}, "too small for 6 nodes"),
        ({"subnet": "fd00::/64"}, "is not usable"),
        ({"name": "kvs_net"}, 'cluster name "kvs_net" is not usable'),
        ({"name": "Dev"}, "small letter"),
        ({"name": ""}, "small letter"),
        ({"name": "a" * 33}, "at most 31"),
    ],
)
def test_what_cannot_be_a_cluster_is_refused_as_usage(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(Trouble, match=re.escape(words)) as refusal:
        Topology.from_json({**shape().to_json(), **changes})
    assert refusal.value.code == 2


def test_an_unknown_node_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(Trouble, match=r'no node "zoe".*alice, bob, carol, dave') as refusal:
        shape().node("zoe")
    assert refusal.value.code == 3


@pytest.mark.parametrize(
    ("subnet", "taken", "name"),
    [
        ("10.10.0.0/16", {}, None),
        ("10.10.0.0/16", {"bridge": "172.17.0.0/16"}, None),
        ("10.10.0.0/16", {"bridge": "172.17.0.0/16", "lab": "10.10.4.0/24"}, "lab"),
        ("10.10.0.0/16", {"wide": "10.0.0.0/8"}, "wide"),
        ("10.10.0.0/16", {"six": "fd00::/64"}, None),
    ],
)
def test_overlaps_are_named(subnet: str, taken: dict[str, str], name: str | None) -> None:
    assert overlapping(subnet, taken) == name


def test_the_next_free_subnet_is_the_first_that_overlaps_nothing() -> None:
    assert free_subnet({}) == "10.10.0.0/16"
    assert free_subnet({"a": "10.10.0.0/24", "b": "10.11.128.0/17"}) == "10.12.0.0/16"
    with pytest.raises(Trouble, match="every subnet"):
        free_subnet({"all": "10.0.0.0/8"})


def test_unasked_addresses_are_given_from_the_upper_half() -> None:
    assert automatic_range("10.10.0.0/16") == "10.10.128.0/17"
    assert gateway_of("10.10.0.0/16") == "10.10.0.1"


@pytest.mark.parametrize(
    ("size", "busy", "first"),
    [
        (6, [], 8082),
        (6, [8080, 8081, 8088], 8082),
        (6, [8087], 8088),
        (6, [8082, 8086], 8087),
        (2, [8082, 8085], 8083),
    ],
)
def test_the_first_free_block_of_ports(size: int, busy: list[int], first: int) -> None:
    assert first_free_block(size, busy) == first


def test_no_free_block_of_ports() -> None:
    with pytest.raises(Trouble, match="no 6 free ports"):
        first_free_block(6, [65530], 65525)


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("alice | bob,carol", [["alice"], ["bob", "carol"], ["dave", "erin", "frank"]]),
        ("alice|bob carol dave erin frank", [["alice"], ["bob", "carol", "dave", "erin", "frank"]]),
        ("alice", [["alice"], ["bob", "carol", "dave", "erin", "frank"]]),
        (" frank , erin |", [["frank", "erin"], ["alice", "bob", "carol", "dave"]]),
    ],
)
def test_groups_are_read_and_the_rest_is_a_group(text: str, groups: list[list[str]]) -> None:
    assert groups_of(text, shape()) == groups


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        ("alice | zoe", 'no node "zoe"', 3),
        ("alice | alice,bob", "alice is in two groups", 2),
        ("", "leaves all nodes together", 2),
        ("alice,bob,carol,dave,erin,frank", "leaves all nodes together", 2),
    ],
)
def test_groups_that_make_no_sense_are_refused(text: str, words: str, code: int) -> None:
    with pytest.raises(Trouble, match=words) as refusal:
        groups_of(text, shape())
    assert refusal.value.code == code


def test_a_cut_is_everyone_of_the_other_groups() -> None:
    assert cuts_of([["a"], ["b", "c"]]) == {"a": {"b", "c"}, "b": {"a"}, "c": {"a"}}
    assert cuts_of([]) == {}


def test_the_shard_of_an_address_is_what_the_view_says() -> None:
    view = {"shards": {"s1": ["a:1"], "s2": ["b:1", "c:1"]}}
    assert [shard_of(address, view) for address in ("a:1", "c:1", "d:1")] == ["s1", "s2", "-"]
    assert shard_of("a:1", {}) == "-"


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ({"alice": {"id": 1}, "bob": {"id": 1}}, None),
        ({"alice": {"id": 1}, "bob": {"id": 2}}, "bob has another view than alice"),
        ({"alice": {"id": 1}, "bob": None}, "bob does not tell its view"),
        ({"alice": {"id": 1}}, None),
    ],
)
def test_disagreement_names_who(views: dict[str, dict[str, object] | None], words: str) -> None:
    assert disagreement(views) == words


def test_counting() -> None:
    assert (counted(1, "shard"), counted(2, "shard")) == ("1 shard", "2 shards")
