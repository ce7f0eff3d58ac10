"""Requests that name a whole URL, and requests of pages: of the node's own, of others."""

import json
from typing import Any

import aiohttp
import pytest

from node.api.contract import Dialect, Events, Route
from node.config import read
from node.setting_types import BadSetting
from node.shell.http.origins import EXPOSED, is_own, origin_form
from tests.web import not_found, request, served

PUT = b'{"value":1}'
OWN = "Origin: http://node"  # as `request` names the host
FOREIGN = "Origin: http://page.example"
WRITES = [
    ("PUT", "/kvs/cart"),
    ("DELETE", "/kvs/cart"),
    ("PUT", "/view"),
    ("PUT", "/shard/reshard"),
    ("PUT", "/v1/faults"),
    ("DELETE", "/v1/faults"),
    ("POST", "/kvs/cart"),
    ("POST", "/nothing"),
    ("PATCH", "/livez"),
]


@pytest.mark.parametrize(
    ("target", "form", "host"),
    [
        ("/livez", "/livez", None),
        ("//livez", "//livez", None),
        ("/a?b=http://c", "/a?b=http://c", None),
        ("http://node/livez", "/livez", "node"),
        ("HTTP://node:80/kvs/a?b=c", "/kvs/a?b=c", "node:80"),
        ("https://[::1]:1/a/b", "/a/b", "[::1]:1"),
        ("http://node", "/", "node"),
        ("http://node?a=b", "/?a=b", "node"),
        ("*", "*", None),
        ("node:80", "node:80", None),
        ("ftp://node/a", "ftp://node/a", None),
    ],
)
def test_targets(target: str, form: str, host: str | None) -> None:
    assert origin_form(target) == (form, host)


async def test_a_request_that_names_the_whole_url() -> None:
    async with served() as site:
        wire = await site.wire()
        assert (await wire.ask("GET", "http://node/livez")).status == 200
        assert (await wire.ask("PUT", "http://node:8090/kvs/a%20b/c?x=1", PUT)).status == 201
        assert list(site.driver.values) == ["a b/c"]
        ready = await wire.ask("GET", "http://elsewhere/readyz?verbose")
        assert b"[+]" in ready.body
        assert (await wire.ask("GET", "http://node")).status == 404
        assert (await wire.ask("GET", "http://node/kvs/a%20b/c")).status == 200
        assert (await wire.ask("OPTIONS", "*")).status == 404


@pytest.mark.parametrize(
    ("origin", "host", "is_ours"),
    [
        ("http://node", "node", True),
        ("http://node", "node:80", True),
        ("https://node", "node:443", True),
        ("http://Node:8090", "nODE:8090", True),
        ("http://[::1]:8090", "[::1]:8090", True),
        ("http://[::1]", "[::1]:80", True),
        ("http://node:8090", "node:8091", False),
        ("http://node", "node.example", False),
        ("http://127.0.0.1:1", "localhost:1", False),
        ("null", "node", False),
        ("", "node", False),
        ("file://node", "node", False),
        ("http://node", "", False),
        ("http://", "", False),
    ],
)
def test_own_origins(origin: str, host: str, is_ours: bool) -> None:
    assert is_own(origin, host) is is_ours


@pytest.mark.parametrize(
    "origin", [FOREIGN, "Origin: null", "Origin: http://node:8091", "Origin: "]
)
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_write_of_a_foreign_page_is_refused(method: str, path: str, origin: str) -> None:
    async with served(faults=True) as site:
        said = await site.ask(method, path, PUT, origin)
        assert said.status == 403
        assert said.headers["kv-outcome"] == "definite"
        assert "CORS_ORIGINS" in json.loads(said.body)["error"]
        assert "access-control-allow-origin" not in said.headers
        assert (site.driver.values, site.links.cut, site.links.heals) == ({}, [], 0)


async def test_the_whole_url_counts_more_than_the_host_header() -> None:
    async with served() as site:
        wire = await site.wire()
        assert (await wire.ask("PUT", "http://other/kvs/a", PUT, OWN)).status == 403
        assert (
            await wire.ask("PUT", "http://other/kvs/a", PUT, "Origin: http://other")
        ).status == 201


async def test_pages_of_the_node_and_programs_write_as_ever() -> None:
    async with served() as site:
        assert (await site.ask("PUT", "/kvs/a", PUT, OWN)).status == 201
        assert (await site.ask("PUT", "/kvs/a", PUT)).status == 200


async def test_what_a_foreign_page_reads_its_browser_does_not_show() -> None:
    async with served() as site:
        said = await site.ask("GET", "/livez", b"", FOREIGN)
        assert said.status == 200
        assert not any(name.startswith("access-control") for name in said.headers)


async def test_a_foreign_page_gets_no_link_of_peers() -> None:
    async with served() as site, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{site.server.port}/peer"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(url, origin="http://page.example")
        assert refusal.value.status == 403
        assert site.links.unlisted == 0


ALLOWED: dict[str, Any] = {"origins": ("http://page.example",)}
ASKED = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: content-type")


async def test_a_page_that_is_allowed_asks_first_and_writes() -> None:
    async with served(**ALLOWED) as site:
        wire = await site.wire()
        asked = await wire.ask("OPTIONS", "/kvs/cart", b"", FOREIGN, *ASKED)
        assert asked.status == 204
        assert asked.headers["access-control-allow-origin"] == "http://page.example"
        assert asked.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, PUT"
        headers = (
            "Authorization, Content-Type, If-Match, If-None-Match, Kv-Context, Kv-Token, Prefer"
        )
        assert asked.headers["access-control-allow-headers"] == f"{headers}, X-Causal-Metadata"
        assert asked.headers["access-control-max-age"] == "600"
        assert asked.headers["vary"] == "Origin"
        for said in (
            await wire.ask("PUT", "/kvs/cart", PUT, FOREIGN),
            await wire.ask("GET", "/kvs/cart", b"", "Origin: HTTP://Page.example"),
            await wire.ask("GET", "/kvs/nothing", b"", FOREIGN),
            await wire.ask("PATCH", "/kvs/cart", b"", FOREIGN),
        ):
            assert said.headers["access-control-allow-origin"].lower() == "http://page.example"
            assert said.headers["access-control-expose-headers"] == EXPOSED
        assert site.driver.values == {"cart": b"1"}


async def test_other_pages_than_the_allowed_ones_are_refused() -> None:
    async with served(**ALLOWED) as site:
        for origin in ("null", "https://page.example", "http://page.example:81"):
            asked = await site.ask("OPTIONS", "/kvs/cart", b"", f"Origin: {origin}", *ASKED)
            assert asked.status == 403
            assert (await site.ask("PUT", "/kvs/cart", PUT, f"Origin: {origin}")).status == 403


async def test_all_pages_may_be_allowed() -> None:
    async with served(origins=("*",)) as site:
        said = await site.ask("PUT", "/kvs/cart", PUT, "Origin: null")
        assert (said.status, said.headers["access-control-allow-origin"]) == (201, "null")


async def test_what_is_no_origin_is_refused_and_not_repeated() -> None:
    for origins in ((), ("*",)):
        async with served(origins=origins) as site:
            wire = await site.wire()
            wire.send(request("PUT", "/kvs/cart", PUT, "Origin: X").replace(b": X", b": \xff"))
            said = await wire.read()
            assert said.status == 403
            assert "pages of \\udcff are" in json.loads(said.body)["error"]
            wire.send(request("GET", "/livez", b"", "Origin: X").replace(b": X", b": \xff"))
            said = await wire.read()
            assert (said.status, said.headers.get("access-control-allow-origin")) == (200, None)


async def test_without_an_origin_no_browser_asks_first() -> None:
    async with served(**ALLOWED) as site:
        assert (await site.ask("OPTIONS", "/kvs/cart", b"", *ASKED)).status == 405
        assert (await site.ask("OPTIONS", "/kvs/cart", b"", FOREIGN)).status == 405
        assert (await site.ask("OPTIONS", "/nothing", b"", FOREIGN, *ASKED)).status == 404


async def test_events_are_shown_to_allowed_pages() -> None:
    said = iter([b": one\n\n"])
    events = Events(lambda: next(said, None), 0.01)
    dialect = Dialect("events", (Route("GET", "/events", lambda call: events),), not_found)
    async with served(dialect, **ALLOWED) as site:
        wire = await site.wire()
        wire.send(request("GET", "/events", b"", FOREIGN))
        head = (await wire.reader.readuntil(b"\r\n\r\n")).decode()
        assert "Access-Control-Allow-Origin: http://page.example" in head


def origins_of(text: str) -> tuple[str, ...] | None:
    return read({"SOCKET_ADDRESS": "a:8090", "CORS_ORIGINS": text}, []).cors_origins


def test_the_setting() -> None:
    assert origins_of("") is None
    assert origins_of("*") == ("*",)
    text = "http://A.example:80, https://b:443,http://[::1]:8080"
    assert origins_of(text) == ("http://a.example", "https://b", "http://[::1]:8080")
    for wrong in ("a.example", "http://", "http://a/", "http://a:0", "http://a:65536", "null",
                  "http://a b", "ftp://a", "http://u@a", ",".join(["http://a"] * 65)):  # fmt: skip
        with pytest.raises(BadSetting, match="CORS_ORIGINS"):
            origins_of(wrong)
