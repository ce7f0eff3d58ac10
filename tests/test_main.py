"""The program: what stops its start, how nodes find each other, and how they end."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from node.__main__ import start_of
from node.config import read
from node.core.model.options import Start
from node.core.model.placement import first_view
from node.core.model.view import no_view
from node.shell.event_loop import LoopTimer
from tests.node_process import (
    PATIENCE_S,
    await_ready,
    call,
    called_until,
    environment,
    failed_start,
    free_addresses,
    node,
    said,
)

# ------------------------------------------------------------------ the clock


async def test_the_clock_starts_at_the_wall_and_never_goes_back() -> None:
    walls = iter([1_000_000.0, 5.0])
    clock = LoopTimer(lambda: next(walls))
    earlier = clock.now()
    assert 1_000_000.0 <= earlier <= clock.now() < 1_001_000.0


async def test_timers_call_back_in_order_and_never_at_once() -> None:
    clock, called, last = LoopTimer(), list[str](), asyncio.Event()
    clock.call_at(clock.now() + 0.01, last.set)
    clock.call_at(clock.now() + 0.001, lambda: called.append("soon"))
    clock.call_at(0.0, lambda: called.append("past"))
    clock.call_at(float("inf"), lambda: called.append("never"))
    assert called == []
    await last.wait()
    assert called == ["past", "soon"]


# ------------------------------------------------------------------ what stops a start


def test_says_what_is_wrong_with_a_setting(tmp_path: Path) -> None:
    env = environment(tmp_path, "127.0.0.1:1")
    assert "SOCKET_ADDRESS=''" in failed_start({**env, "SOCKET_ADDRESS": ""})
    assert "DIALECT='esperanto'" in failed_start({**env, "DIALECT": "esperanto"})
    collide = failed_start({**env, "DIALECT": "asg4,dynamo,dynamo"})
    assert "the dialects dynamo and dynamo both claim POST /storeData" in collide
    assert "SHARD_COUNT='2'" in failed_start(env, "--shard-count=2")
    assert "--colour" in failed_start(env, "--colour", "red")


def test_says_that_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = failed_start(environment(tmp_path, address))
    assert f"SOCKET_ADDRESS='{address}'" in line
    assert "a port to listen on" in line


def test_says_that_the_directory_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = environment(tmp_path, "127.0.0.1:1", DATA_DIR=str(tmp_path / "file"))
    assert "DATA_DIR" in failed_start(env)


def test_helps() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "node", "--help"], capture_output=True, text=True, check=True
    )
    assert "SHARD_COUNT" in ended.stdout


# ------------------------------------------------------------------ what a node begins with

OURS = "127.0.0.1:1"
ALL = (OURS, "127.0.0.1:2")


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        ({}, Start(first_view((OURS,), 1))),
        ({"VIEW": OURS}, Start(first_view((OURS,), 1))),
        ({"VIEW": OURS, "SHARD_COUNT": "1"}, Start(first_view((OURS,), 1))),
        ({"VIEW": ",".join(ALL), "SHARD_COUNT": "1"}, Start(first_view(ALL, 1))),
        ({"VIEW": ",".join(ALL), "SHARD_COUNT": "2"}, Start(first_view(ALL, 2))),
        ({"VIEW": ",".join(ALL)}, Start(no_view(ALL, unsharded=True), join=True)),
        ({"VIEW": ",".join(ALL), "DIALECT": "asg3"}, Start(no_view(ALL, unsharded=True), True)),
        (
            {"VIEW": ",".join(ALL), "DIALECT": "asg3", "SHARD_COUNT": "1"},
            Start(first_view(ALL, 1, unsharded=True)),
        ),
        ({"VIEW": ",".join(ALL), "DIALECT": "shard_view"}, Start(no_view(ALL), join=True)),
        ({"DIALECT": "admin_view"}, Start(no_view(()))),
        ({"DIALECT": "admin_view", "SHARD_COUNT": "1"}, Start(first_view((OURS,), 1))),
    ],
)
def test_begins_with_its_own_view_or_asks_the_others(
    settings: dict[str, str], start: Start
) -> None:
    assert start_of(read({"SOCKET_ADDRESS": OURS, **settings}, [])) == start


# ------------------------------------------------------------------ nodes that run


@pytest.mark.parametrize(("uvloop", "log_format"), [("1", "json"), ("0", "text")])
def test_serves_and_ends_in_order(tmp_path: Path, uvloop: str, log_format: str) -> None:
    (address,) = free_addresses(1)
    env = environment(tmp_path, address, UVLOOP=uvloop, LOG_FORMAT=log_format)
    with node(env) as process:
        assert "no second copy" in said(process, "warning" if log_format == "json" else "WARNING")
        line = said(process, "serving at")
        assert log_format != "json" or json.loads(line)["node"] == address
        put = {"value": 1, "causal-metadata": None}
        assert call("PUT", address, "/kvs/k", put)[0] == 201
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    with node(env) as process:
        said(process, "serving at")
        status, found = call("GET", address, "/kvs/k", {"causal-metadata": None})
        assert (status, found["value"]) == (200, 1)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0


def test_nodes_meet_and_what_they_acknowledge_survives_kill_9(tmp_path: Path) -> None:
    addresses = free_addresses(3)
    settings = {"VIEW": ",".join(addresses), "SHARD_COUNT": "1"}
    envs = [environment(tmp_path, address, **settings) for address in addresses]
    with ExitStack() as stack:
        first, *others = [stack.enter_context(node(env)) for env in envs]
        for process in (first, *others):
            said(process, "serving at")
        write = {"value": "v", "causal-metadata": None}
        answer = called_until(201, "PUT", addresses[0], "/kvs/k", write)
        wanted = {"causal-metadata": answer["causal-metadata"]}
        for address in addresses:
            assert called_until(200, "GET", address, "/kvs/k", wanted)["value"] == "v"
        await_ready(addresses[0])  # or it could not read alone: this write is durable after that
        answer = called_until(200, "PUT", addresses[0], "/kvs/k", {"value": "w", **wanted})
        wanted = {"causal-metadata": answer["causal-metadata"]}
        first.kill()
        assert first.wait(PATIENCE_S) == -signal.SIGKILL
        again = stack.enter_context(node(envs[0]))
        said(again, "serving at")
        for process in others:
            process.kill()
        assert called_until(200, "GET", addresses[0], "/kvs/k", wanted)["value"] == "w"


def view_at(address: str) -> Any:
    return call("GET", address, "/v1/status")[1]["view"]


def wait_until(address: str, part: dict[str, Any]) -> None:
    """Wait until this node's view has this part."""
    deadline = time.monotonic() + PATIENCE_S
    while not part.items() <= (view := view_at(address)).items():
        assert time.monotonic() < deadline, view


def test_a_late_node_joins_and_its_disk_remembers_the_view(tmp_path: Path) -> None:
    *members, late = sorted(free_addresses(3))
    settings = {"VIEW": ",".join(members), "SHARD_COUNT": "2"}
    view = ",".join([late, *members])
    with ExitStack() as stack:
        for address in members:
            stack.enter_context(node(environment(tmp_path, address, **settings)))
        env = environment(tmp_path, late, VIEW=view)
        process = stack.enter_context(node(env))
        said(process, "serving at")
        for address in (late, *members):
            wait_until(address, {"nodes": [*members, late]})
        assert len({view_at(address)["fingerprint"] for address in (late, *members)}) == 1
        stored = {"value": "v", "causal-metadata": None}
        answer = called_until(201, "PUT", late, "/kvs/k", stored)
        process.kill()
        said(stack.enter_context(node({**env, "VIEW": late})), "serving at")
        wanted = {"causal-metadata": answer["causal-metadata"]}
        assert called_until(200, "GET", late, "/kvs/k", wanted)["value"] == "v"
        assert view_at(late)["nodes"] == [*members, late]


def test_new_nodes_without_a_shard_count_form_one_shard(tmp_path: Path) -> None:
    addresses = sorted(free_addresses(3))
    envs = [environment(tmp_path, a, VIEW=",".join(addresses)) for a in addresses]
    with ExitStack() as stack:
        for process in [stack.enter_context(node(env)) for env in envs]:
            said(process, "serving at")
        for address in addresses:
            wait_until(address, {"number": 1, "shards": {"s1": addresses}})
