"""Snapshots on processes: never an album without its photo, while the network is cut and after."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import OPENER, kv
from tests.scenarios.script import eventually

PHOTOS = [f"photo{n}" for n in range(4)]
MANY = 40
SOON_S = 30.0


def snapshot(url: str, keys: list[str], timeout: str = "2", token: str = "") -> tuple[int, Any]:
    """Return the status, and the values by their keys or the problem."""
    headers = {"Content-Type": "application/json"} | ({"Kv-Token": token} if token else {})
    asked = f"{url}/v1/snapshot?timeout={timeout}"
    body = json.dumps({"keys": keys}).encode()
    try:
        with OPENER.open(urllib.request.Request(asked, body, headers), timeout=30.0) as reply:
            values = json.loads(reply.read())["values"]
            return 200, {each["key"]: [s["value"] for s in each["siblings"]] for each in values}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@dataclass
class Writer:
    """Writes a photo, and then the album with its token, again and again, each time elsewhere."""

    urls: list[str]
    albums: int = 0
    token: str = ""

    def run(self, stop: threading.Event) -> None:
        for n in count(1):
            if stop.is_set():
                return
            photo = PHOTOS[n % len(PHOTOS)]
            if self._put(n, photo, n):
                self.albums += self._put(n * 5 + 2, "album", {"photo": photo, "n": n})

    def _put(self, place: int, key: str, value: object) -> bool:
        url, sent = self.urls[place % len(self.urls)], {"Kv_Token": self.token}
        headers = {"Content_Type": "application/json", **(sent if self.token else {})}
        said = kv(url, "PUT", f"{key}?timeout=1", json.dumps(value).encode(), **headers)
        self.token = said.headers.get("Kv-Token", self.token)
        return said.status < 300


def take_snapshots(url: str, stop: threading.Event) -> list[tuple[int, Any]]:
    taken = []
    while not stop.is_set():
        taken.append(snapshot(url, ["album", *PHOTOS], timeout="1"))
    return taken


def torn(shown: dict[str, list[Any]]) -> list[object]:
    """Return the albums whose photo is older than they say."""
    return [album for album in shown["album"] if max(shown[album["photo"]], default=0) < album["n"]]


@contextmanager
def split(cluster: Cluster) -> Iterator[None]:
    """Cut each shard in two: two nodes of each on one side, one of each on the other."""
    names = cluster.names
    cluster.engine.split([[*names[:2], *names[3:5]], [names[2], names[5]]])
    try:
        yield
    finally:
        cluster.engine.heal()


@pytest.mark.timeout(120)
def test_no_album_without_its_photo(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    writer, stop = Writer(urls), threading.Event()

    def goes_on(albums: int) -> bool:
        more = writer.albums + albums
        return eventually(lambda: writer.albums >= more, SOON_S)

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(take_snapshots, url, stop) for url in (urls[0], urls[2], urls[4])]
        writing = pool.submit(writer.run, stop)
        try:
            assert goes_on(20)
            with split(cluster):
                assert goes_on(60)
            assert goes_on(20)
        finally:
            stop.set()
        writing.result()
        taken = [each for job in jobs for each in job.result()]
    shown = [values for status, values in taken if status == 200]
    assert [torn(values) for values in shown if torn(values)] == []
    assert {status for status, _ in taken} <= {200, 503}
    assert len({json.dumps(values) for values in shown}) > 20


@pytest.mark.timeout(60)
def test_what_cannot_be_reached_is_waited_for_and_then_said(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    kv(urls[0], "PUT", "far?w=all&strict=true", b"1", Content_Type="application/json")
    with split(cluster):
        said = kv(urls[0], "PUT", "far", b"2", Content_Type="application/json")
        token = said.headers["Kv-Token"]
        status, problem = snapshot(urls[2], ["far", "near"], timeout="1", token=token)
        assert (status, problem["definite"], problem["retryable"]) == (503, True, True)
    assert eventually(lambda: snapshot(urls[2], ["far"], "2", token) == (200, {"far": [2]}), SOON_S)


@pytest.mark.timeout(60)
def test_many_keys_come_in_their_order(cluster: Cluster) -> None:
    url = cluster.urls[cluster.names[3]]
    keys = [f"many{n}" for n in range(MANY)]
    for n, key in enumerate(keys):
        kv(url, "PUT", key, b"%d" % n, Content_Type="application/json")
    status, shown = snapshot(url, [*keys[::-1], "nothing"])
    assert status == 200
    assert list(shown) == [*keys[::-1], "nothing"]
    assert shown == {"nothing": [], **{key: [n] for n, key in enumerate(keys)}}
