"""Clients with tokens: what each may do, and what the others are told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.api.native.bulk import bulk
from node.api.native.key_values import key_values
from node.security.audit import Audit
from node.security.scopes import scopes_in
from node.security.tokens import ApiTokens, new_token, tokens_in
from node.shell.http.doorman import Doorman
from tests.security.callers import audited
from tests.web import Said, Site, served

SCOPES = ("read", "write", "admin", "read,write")
MADE = {scopes: new_token(scopes_in(scopes), scopes.replace(",", "-")) for scopes in SCOPES}
TOKENS = ApiTokens(tokens_in("\n".join(line for _, line in MADE.values())))
FAULTS = json.dumps({"cut": ["10.0.0.1:1"], "ttl_s": 5}).encode()


def bearer(scopes: str) -> str:
    return f"Authorization: Bearer {MADE[scopes][0]}"


@asynccontextmanager
async def guarded() -> AsyncIterator[Site]:
    doorman = Doorman(TOKENS, Audit())
    async with served(key_values(), bulk(), faults=True, doorman=doorman) as site:
        yield site


def problem_of(said: Said) -> tuple[int, str]:
    assert said.headers["content-type"] == "application/problem+json"
    body = json.loads(said.body)
    assert (body["status"], body["definite"], body["retryable"]) == (said.status, True, False)
    return said.status, body["type"]


UNAUTHORIZED = 401, "/v1/problems/unauthorized"
FORBIDDEN = 403, "/v1/problems/forbidden"


@pytest.mark.parametrize("path", ["/v1/kv/cart", "/kvs/cart", "/v1/status", "/metrics"])
async def test_without_a_token_a_client_gets_401(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded() as site:
        assert problem_of(await site.ask("PUT", "/v1/faults", FAULTS)) == UNAUTHORIZED
        assert len(audited(caplog)) == 1
        said = await site.ask("GET", path)
        assert problem_of(said) == UNAUTHORIZED
        assert said.headers["www-authenticate"] == 'Bearer realm="coterie"'
        assert site.links.cut == []
        (line,) = audited(caplog)
        assert line.startswith("client-refused from=127.0.0.1 method=")
        assert line.endswith("why='it has no token'")


async def test_a_wrong_credential_gets_401_and_is_shown_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text, _ = MADE["admin"]
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    async with guarded() as site:
        for lines in (
            [f"Authorization: Bearer {wrong}"],
            ["Authorization: Bearer "],
            [f"Authorization: Basic {text}"],
            [bearer("read"), bearer("admin")],
        ):
            said = await site.ask("PUT", "/v1/kv/cart", b"1", *lines)
            assert problem_of(said) == UNAUTHORIZED
            assert 'error="invalid_token"' in said.headers["www-authenticate"]
            assert text[-10:-1] not in said.body.decode()
        assert site.driver.values == {}
    assert len(audited(caplog)) == 4
    assert text[-10:-1] not in caplog.text


@pytest.mark.parametrize(
    ("scopes", "method", "path", "is_allowed"),
    [
        ("read", "GET", "/kvs/cart", True),
        ("read", "PUT", "/kvs/cart", False),
        ("read", "PUT", "/v1/kv/cart", False),
        ("read", "GET", "/v1/status", True),
        ("read", "PUT", "/v1/faults", False),
        ("write", "PUT", "/kvs/cart", True),
        ("write", "GET", "/kvs/cart", False),
        ("write", "HEAD", "/kvs/cart", False),
        ("write", "PUT", "/shard/reshard", False),
        ("read,write", "DELETE", "/view", False),
        ("admin", "PUT", "/v1/faults", True),
        ("admin", "GET", "/kvs/cart", False),
    ],
)
async def test_a_token_allows_its_scopes(
    scopes: str, method: str, path: str, is_allowed: bool
) -> None:
    body = FAULTS if "faults" in path else b'{"value":1}' if method == "PUT" else b""
    async with guarded() as site:
        said = await site.ask(method, path, body, bearer(scopes))
        assert (said.status != 403) == is_allowed
        if not is_allowed:
            assert "insufficient_scope" in said.headers["www-authenticate"]
            assert method == "HEAD" or problem_of(said) == FORBIDDEN
            assert (site.driver.values, site.links.cut) == ({}, [])


async def test_each_line_of_a_bulk_is_allowed_by_itself() -> None:
    lines = [{"op": "put", "key": "a", "value": 1}, {"op": "get", "key": "b"}]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    async with guarded() as site:
        for scopes, statuses in (
            ("read", [403, 404]),
            ("write", [201, 403]),
            ("admin", [403, 403]),
            ("read,write", [200, 404]),
        ):
            wire = await site.wire()
            wire.send(
                b"POST /v1/bulk HTTP/1.1\r\nHost: node\r\nConnection: close\r\n"
                + f"Content-Length: {len(body)}\r\n{bearer(scopes)}\r\n\r\n".encode()
                + body
            )
            text = (await wire.reader.read()).decode()
            said = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
            assert [line["status"] for line in said if "status" in line] == statuses, text
            for line in said:
                if line.get("status") == 403:
                    assert line["problem"]["type"] == "/v1/problems/forbidden"
        assert (await site.ask("POST", "/v1/bulk", body)).status == 401


async def test_what_is_open_to_all_says_no_more_than_it_must() -> None:
    async with guarded() as site:
        for path in ("/livez", "/readyz", "/readyz?verbose", "/v1/problems/absent"):
            assert (await site.ask("GET", path)).status in (200, 503)
        plain = await site.ask("GET", "/readyz?verbose")
        assert plain.body in (b"ok\n", b"not ready\n")
        verbose = await site.ask("GET", "/readyz?verbose", b"", bearer("read"))
        assert b"]view" in verbose.body
        assert (await site.ask("GET", "/nothing")).status == 404


async def test_administration_leaves_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async with guarded() as site:
        assert (await site.ask("PUT", "/v1/faults", FAULTS, bearer("admin"))).status == 200
    assert audited(caplog) == [
        "administration from=127.0.0.1 token=admin method=PUT path=/v1/faults status=200"
    ]
    async with served(faults=True) as site:
        await site.ask("DELETE", "/v1/faults")
    assert audited(caplog) == [
        "administration from=127.0.0.1 method=DELETE path=/v1/faults status=200"
    ]
