"""The OpenAPI document and its page: they name each of our routes and no other, and are valid."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from openapi_spec_validator import validate

from node import config
from node.__main__ import dialects_of
from node.api.admin.view_jobs import views
from node.api.contract import Call, Reply
from node.api.native.bulk import bulk
from node.api.native.explain import explanations
from node.api.native.export import exports
from node.api.native.imports import imports
from node.api.native.key_lists import key_lists
from node.api.native.key_values import key_values
from node.api.native.merged_keys import merged_keys
from node.api.native.policies import policies
from node.api.native.snapshots import snapshots
from node.api.native.watch import watches
from node.api.openapi.document import document_of
from node.api.openapi.page import curl_of, page_of
from node.shell.http.admin_routes import server_routes
from node.shell.http.api_document import ApiDocument
from node.shell.http.router import Table
from tests.web import ADDRESS, ScriptedLinks, served

OURS = re.compile(r"/v1/.*|/livez|/readyz|/metrics|/openapi\.json")


def routes_of_a_node(faults: bool = True) -> list[tuple[str, str]]:
    """Return the method and the pattern of each route that a node serves."""

    def scrape(call: Call) -> Reply:
        return Reply(200, b"")

    dialects = dialects_of(config.read({"SOCKET_ADDRESS": ADDRESS}, []))
    own = server_routes(ScriptedLinks(), scrape, ApiDocument(list), faults)
    return [(each.method, each.pattern) for each in Table([*dialects, own]).endpoints()]


DOCUMENT = document_of(routes_of_a_node(), "1.2.3")


def routes_in(document: Any) -> set[tuple[str, str]]:
    paths = document["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.parametrize("faults", [True, False])
def test_the_document_names_each_of_our_routes_and_no_other(faults: bool) -> None:
    routes = routes_of_a_node(faults)
    ours = {(method, pattern) for method, pattern in routes if OURS.fullmatch(pattern)}
    assert len(ours) > 30
    assert ours < set(routes)
    assert routes_in(document_of(routes, "1.2.3")) == ours


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)


def test_every_schema_and_header_is_of_use() -> None:
    text = orjson.dumps(DOCUMENT["paths"]) + orjson.dumps(DOCUMENT["components"])
    for kind, components in DOCUMENT["components"].items():
        for name, component in components.items():
            by_name, whole = f"#/components/{kind}/{name}".encode(), orjson.dumps(component)[1:-1]
            assert by_name in text or text.count(whole) > 1, name


def test_a_path_names_its_placeholders() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            parameters = operation.get("parameters", ())
            names = [each["name"] for each in parameters if each["in"] == "path"]
            assert names == re.findall(r"\{(\w+)\}", path)


async def test_a_node_answers_both_in_the_same_way_each_time() -> None:
    many = key_lists(), bulk(), snapshots(), merged_keys(), watches(), exports(), imports()
    async with served(
        key_values(), policies(), *many, explanations(), views(), faults=True
    ) as site:
        first, second = [await site.ask("GET", "/openapi.json") for _ in range(2)]
        assert (first.status, first.headers["content-type"]) == (200, "application/json")
        assert first.body == second.body
        assert routes_in(orjson.loads(first.body)) == routes_in(DOCUMENT)
        page = await site.ask("GET", "/v1/docs")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.body.decode() == page_of(orjson.loads(first.body))


def test_a_start_imports_nothing_of_it() -> None:
    lines = "import sys, node.__main__; print([n for n in sys.modules if 'openapi' in n])"
    ended = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"


# ------------------------------------------------------------------ the page


class Tags(HTMLParser):
    """Keeps the names of all tags, where links lead, and the tags that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        said = {name: value or "" for name, value in attrs}
        self.links |= {said[name] for name in ("href", "src") if name in said}
        self.anchors |= {said["id"]} if "id" in said else set()
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_no_network_and_no_script() -> None:
    tags = Tags(page_of(DOCUMENT))
    assert tags.open == []
    assert not {"script", "link", "img", "iframe"} & tags.names
    inside = {link[1:] for link in tags.links if link.startswith("#")}
    assert tags.links == {f"#{name}" for name in inside} | {"/openapi.json"}
    assert inside <= tags.anchors


def test_the_page_shows_every_operation_with_a_command() -> None:
    page = page_of(DOCUMENT)
    for method, path in routes_in(DOCUMENT):
        if method != "HEAD":
            operation = DOCUMENT["paths"][path][method.lower()]
            assert f'<h3 id="{operation["operationId"]}"><b>{method}</b> {path}</h3>' in page
            command = curl_of(method, path, operation)
            assert "{key}" not in command
            assert command.partition("$NODE")[2].startswith(path.partition("{")[0])


def test_what_the_document_says_is_escaped() -> None:
    operation = {
        "tags": ["<i>"],
        "operationId": "<i>",
        "summary": "<i>",
        "parameters": [
            {"name": "<i>", "in": "query", "description": "`<i>`", "schema": {"enum": ["<i>"]}}
        ],
        "requestBody": {
            "description": "<i>",
            "content": {"<i>": {"schema": {"type": "<i>"}, "example": "<i>"}},
        },
        "responses": {
            "<i>": {
                "description": "<i>",
                "headers": {"<i>": {}},
                "content": {"<i>": {"schema": {"$ref": "<i>"}}},
            }
        },
    }
    strange = {
        "info": {"title": "<i>", "version": "<i>", "description": "<i>"},
        "tags": [{"name": "<i>"}],
        "paths": {"/<i>": {"get": operation}},
        "components": {"schemas": {"<i>": {"properties": {"<i>": {"const": "<i>"}}}}},
    }
    assert "i" not in Tags(page_of(strange)).names
