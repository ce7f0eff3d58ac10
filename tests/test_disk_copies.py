"""Nodes on disks that were copied, or put back, lose no acknowledged write and say what they
are.
"""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster.engines import node_client
from tests.node_process import (
    PATIENCE_S,
    await_ready,
    call,
    called_until,
    environment,
    free_addresses,
    node,
    said,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]
WRITES = 20


def write(address: str, key: str, value: str) -> Any:
    return called_until(201, "PUT", address, f"/kvs/{key}", {"value": value})["causal-metadata"]


def value_at(address: str, key: str, token: Any) -> Any:
    return called_until(200, "GET", address, f"/kvs/{key}", {"causal-metadata": token})["value"]


def status(address: str) -> dict[str, Any]:
    found: dict[str, Any] = call("GET", address, "/v1/status")[1]
    return found


def test_a_copied_disk_begins_a_new_life_and_both_nodes_keep_what_they_acknowledge(
    tmp_path: Path,
) -> None:
    first, second, third = free_addresses(3)
    members = {"VIEW": f"{first},{second}", "SHARD_COUNT": "1"}
    envs = [environment(tmp_path, address, **members) for address in (first, second)]
    late = environment(tmp_path, third, VIEW=f"{first},{second},{third}")
    with ExitStack() as stack:
        one, two = (stack.enter_context(node(env)) for env in envs)
        for process in (one, two):
            said(process, "serving at")
        write(first, "k", "before")
        one.terminate()
        assert one.wait(PATIENCE_S) == 0
        shutil.copytree(tmp_path / first, tmp_path / third)
        again, copy = (stack.enter_context(node(env)) for env in (envs[0], late))
        said(again, "serving at")
        assert f"its disk was that of the node at {first}" in said(copy, "begins a new incarnation")
        reason = node_client.until(lambda: status(third)["began_anew"], PATIENCE_S)
        assert reason
        assert first in reason
        address = {"socket-address": third}
        called_until(201, "PUT", first, "/view", address)
        called_until(200, "PUT", first, "/shard/add-member/s1", address)
        for each in (first, second, third):
            await_ready(each)
        x, y = write(first, "x", "of the first"), write(third, "y", "of the copy")
        for each in (first, second, third):
            assert value_at(each, "x", x) == "of the first"
            assert value_at(each, "y", y) == "of the copy"
            assert value_at(each, "k", x) == "before"


def test_an_older_copy_of_its_own_disk_is_noticed_at_the_first_contact(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    settings = {"VIEW": ",".join(addresses), "SHARD_COUNT": "1"}
    envs = [environment(tmp_path, address, **settings) for address in addresses]
    first = addresses[0]
    with ExitStack() as stack:
        one, *others = (stack.enter_context(node(env)) for env in envs)
        for process in (one, *others):
            said(process, "serving at")
        write(first, "k", "before")
        one.terminate()
        assert one.wait(PATIENCE_S) == 0
        shutil.copytree(tmp_path / first, tmp_path / "kept")
        one = stack.enter_context(node(envs[0]))
        said(one, "serving at")
        await_ready(first)
        tokens = {f"a{i}": write(first, f"a{i}", "lost with the disk") for i in range(WRITES)}
        one.kill()
        one.wait(PATIENCE_S)
        shutil.rmtree(tmp_path / first)
        shutil.copytree(tmp_path / "kept", tmp_path / first)
        one = stack.enter_context(node(envs[0]))
        assert "begins a new incarnation" in said(one, "begins a new incarnation")
        await_ready(first)
        tokens |= {f"b{i}": write(first, f"b{i}", "of the new incarnation") for i in range(WRITES)}
        for key, token in tokens.items():
            wanted = "lost with the disk" if key.startswith("a") else "of the new incarnation"
            assert {value_at(each, key, token) for each in addresses} == {wanted}
        assert status(first)["began_anew"]
