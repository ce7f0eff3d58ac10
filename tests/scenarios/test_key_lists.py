"""Keys are listed by pages, without gap or double, while shards change and while one is away."""

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.native_calls import OPENER, kv
from tests.scenarios.script import ask, eventually
from tests.scenarios.stage import BOTH_ENGINES, at_once, is_done, machines

KEYS = [f"list/{n % 7}/{n:04d}" for n in range(1200)]
DELETED = KEYS[::10]
LEFT = sorted(set(KEYS) - set(DELETED))
SETTLED_S = 40.0


def page(url: str, token: str = "", **query: str) -> tuple[dict[str, Any], str]:
    """Return a page of keys, and the token of the answer."""
    asked = f"{url}/v1/keys?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(asked, headers={"Kv-Token": token} if token else {})
    with OPENER.open(request, timeout=30.0) as reply:
        return json.loads(reply.read()), reply.headers["Kv-Token"]


def listed(urls: list[str], limit: int = 90) -> list[str]:
    """Return all keys by pages, each from another node."""
    keys: list[str] = []
    after: str | None = ""
    turn = 0
    while after is not None:
        found, _ = page(urls[turn % len(urls)], prefix="list/", limit=str(limit), after=after)
        assert found["complete"], found
        keys += found["keys"]
        after, turn = found["next"], turn + 1
    return keys


@BOTH_ENGINES
@pytest.mark.timeout(240)
def test_no_gap_and_no_double_while_shards_change(kind: str, tmp_path: Path) -> None:
    with machines(kind, tmp_path, 2, 3) as cluster:
        cluster.await_ready()
        urls = list(cluster.urls.values())
        at_once(lambda key: kv(urls[0], "PUT", f"{key}?w=all&strict=true", b"1"), KEYS)
        at_once(lambda key: kv(urls[1], "DELETE", f"{key}?w=all&strict=true"), DELETED)
        assert listed(urls) == LEFT
        for shards in (3, 2):
            assert ask("PUT", f"{urls[0]}/shard/reshard", {"shard-count": shards})[0] == 200
            lists = [listed(urls)]
            while not is_done(urls):
                lists.append(listed(urls))
            lists.append(listed(urls))
            assert all(each == LEFT for each in lists), [len(each) for each in lists]
        found, _ = page(urls[2], prefix="list/", delimiter="/", counts="true")
        counts = {group["prefix"]: group["count"] for group in found["groups"]}
        assert counts == {
            f"list/{n}/": sum(key.startswith(f"list/{n}/") for key in LEFT) for n in range(7)
        }
        _reads_its_own_write(urls)
        _names_the_shard_that_is_away(cluster.engine, cluster.names, urls)


def _reads_its_own_write(urls: list[str]) -> None:
    """A client is shown its own write at any node."""
    for number, url in enumerate(urls):
        said = kv(urls[0], "PUT", f"own/{number}", b"1")
        found, _ = page(url, said.headers["Kv-Token"], prefix=f"own/{number}")
        assert found["keys"] == [f"own/{number}"]


def _names_the_shard_that_is_away(engine: Any, names: list[str], urls: list[str]) -> None:
    engine.split([names[:3], names[3:]])
    try:
        assert eventually(lambda: not page(urls[0], timeout="2")[0]["complete"], SETTLED_S)
        found, _ = page(urls[0], prefix="list/", timeout="2")
        assert len(found["unanswered"]) == 1
        assert set(found["keys"]) < set(LEFT)
    finally:
        engine.heal()
