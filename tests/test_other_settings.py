"""Nodes that begin with other settings than the rest of their cluster.

Until a view change all nodes are in the view of their settings, number 1, and nothing but its
content tells two of them apart.  So nodes compare them when they meet.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import permutations
from pathlib import Path

import pytest

from cluster.engines import node_client
from node.core.model.placement import first_view
from node.core.model.view import FIRST, View
from node.shell.http.facts import wrong_settings
from node.shell.peers.handshake import (
    VERSION,
    FirstView,
    Hello,
    first_view_in,
    other_settings,
)
from tests.launching import eventually
from tests.node_process import call, environment, free_addresses, node, said
from tests.peers import Peer, address_of, free_ports, listening, until

A, B, C, D = NODES = tuple(f"10.10.0.{n}:8090" for n in (8, 9, 10, 11))


def hello(address: str, nodes: Sequence[str], shards: int) -> Hello:
    return Hello(VERSION, address, first_view_in(first_view(tuple(nodes), shards)))


@pytest.mark.parametrize("order", list(permutations(NODES)))
def test_the_order_of_view_does_not_matter(order: tuple[str, ...]) -> None:
    assert first_view(order, 2) == first_view(NODES, 2)
    assert [shard.members for shard in first_view(order, 2).shards] == [(A, B), (C, D)]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (hello(B, NODES, 2), ""),
        (hello(B, NODES[::-1], 2), ""),
        (Hello(VERSION, B), ""),
        ("closed", ""),
        (hello(B, NODES, 1), f"SHARD_COUNT is 1 at {B} and 2 here; "),
        (hello(B, (*NODES, "e:1"), 2), f"the VIEW of {B} names e:1, which that of this node lacks"),
        (hello(B, NODES[:3], 2), f"the VIEW of {B} lacks {D}, which that of this node names; "),
        (
            Hello(VERSION, B, FirstView(NODES, ((A, C), (B, D)))),
            f"{B} has put other nodes together in shards; ",
        ),
    ],
)
def test_what_differs_is_named(there: Hello | str, words: str) -> None:
    here = hello(A, NODES, 2)
    said = other_settings(there, here)
    assert said.startswith(words)
    assert bool(said) == bool(words)
    assert ("the same VIEW and SHARD_COUNT" in said) == bool(words)


def test_a_later_view_is_not_compared() -> None:
    later = View(2, NODES, first_view(NODES, 1).shards, first_view(NODES, 1).owner, "n1")
    assert first_view_in(later) is None
    assert other_settings(Hello(VERSION, B, first_view_in(later)), hello(A, NODES, 2)) == ""


@pytest.mark.parametrize(
    ("misfits", "is_ready"),
    [((), True), ((B,), True), ((B, C), False), ((B, C, D), False), ((B, "e:1", "f:1"), True)],
)
def test_a_node_is_not_ready_if_most_others_have_other_settings(
    misfits: Sequence[str], is_ready: bool
) -> None:
    """One of three others may be wrong itself; nodes that VIEW does not name count for nothing."""
    view = first_view(NODES, 2)
    assert view.id == FIRST
    assert (wrong_settings(view, dict.fromkeys(misfits, "why")) == "") == is_ready
    later = View(2, view.nodes, view.shards, view.owner, "n1")
    assert wrong_settings(later, dict.fromkeys(misfits, "why")) == ""


async def test_both_nodes_see_that_their_settings_differ_and_have_no_link() -> None:
    ports = free_ports(2)
    addresses = sorted(map(address_of, ports))
    sockets = {address_of(port): port for port in ports}
    views = [first_view(addresses, shards) for shards in (1, 2)]
    a, b = (
        Peer(address, first_view=first_view_in(view))
        for address, view in zip(addresses, views, strict=True)
    )
    async with (
        listening(a.links.accept, sockets[a.address]),
        listening(b.links.accept, sockets[b.address]),
    ):
        a.start(b.address)
        b.start(a.address)
        await until(lambda: bool(a.links.misfits and b.links.misfits))
        assert f"SHARD_COUNT is 2 at {b.address} and 1 here" in a.links.misfits[b.address]
        assert f"SHARD_COUNT is 1 at {a.address} and 2 here" in b.links.misfits[a.address]
        assert a.events == b.events == []
        await a.links.close()
        await b.links.close()


@contextmanager
def cluster(
    folder: Path, addresses: Sequence[str], settings: Sequence[dict[str, str]]
) -> Iterator[list[subprocess.Popen[str]]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(node(environment(folder, address, **given)))
            for address, given in zip(addresses, settings, strict=True)
        ]


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def await_ready(addresses: Sequence[str]) -> None:
    ports = list(map(port_of, addresses))
    assert eventually(lambda: not any(map(node_client.unready, ports)))


def test_nodes_that_name_themselves_first_are_one_cluster(tmp_path: Path) -> None:
    addresses = free_addresses(4)
    orders = [",".join([own, *(a for a in addresses if a != own)]) for own in addresses]
    settings = [{"VIEW": order, "SHARD_COUNT": "2"} for order in orders]
    with cluster(tmp_path, addresses, settings):
        await_ready(addresses)
        for number, address in enumerate(addresses):
            key = f"/v1/kv/k{number}"
            assert call("PUT", address, f"{key}?w=all&strict=true", number)[0] == 201
            assert [call("GET", other, key)[1] for other in addresses] == [number] * 4


def test_a_node_with_another_shard_count_takes_no_write_and_says_why(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    settings = [{"VIEW": ",".join(addresses), "SHARD_COUNT": count} for count in ("1", "1", "3")]
    with cluster(tmp_path, addresses, settings) as [_, _, wrong]:
        said(wrong, "SHARD_COUNT is 1 at")
        await_ready(addresses[:2])
        why = node_client.unready(port_of(addresses[2])) or ""
        assert "and 3 here; nodes that begin a cluster need the same" in why
        assert call("PUT", addresses[2], "/v1/kv/k?timeout=0.3", 1)[0] == 503
        assert call("PUT", addresses[0], "/v1/kv/k", 1)[0] == 201
