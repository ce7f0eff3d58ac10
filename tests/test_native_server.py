"""What the server itself refuses on paths of the native API is a problem document, too."""

import orjson
import pytest

from node.api.native.key_values import key_values
from node.api.native.policies import policies
from tests.web import VALUE_BYTES_MAX, served

GZIP = "Content-Encoding: gzip"
TOO_LONG = b"x" * (7 * VALUE_BYTES_MAX)


@pytest.mark.parametrize(
    ("path", "body", "lines", "kind", "status"),
    [
        ("/v1/kv/a", b"x", (GZIP,), "encoding", 415),
        ("/v1/policies/a", b"{}", (GZIP,), "encoding", 415),
        ("/v1/kv/%ff", b"x", (), "malformed", 400),
        ("/v1/kv/a", TOO_LONG, (), "too-large", 413),
        ("/v1/nope", b"x", (), "path", 404),
    ],
)
async def test_a_refusal_of_the_server_is_a_problem(
    path: str, body: bytes, lines: tuple[str, ...], kind: str, status: int
) -> None:
    async with served(key_values(), policies()) as site:
        said = await site.ask("PUT", path, body, *lines)
        assert said.status == status
        assert said.headers["content-type"] == "application/problem+json"
        problem = orjson.loads(said.body)
        assert (problem["type"], problem["status"]) == (f"/v1/problems/{kind}", status)
        assert problem["definite"] is True


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/kv/a", "DELETE, GET, HEAD, PATCH, PUT"),
        ("/v1/policies/a", "DELETE, PUT"),
        ("/v1/problems/absent", "GET, HEAD"),
    ],
)
async def test_a_method_that_the_path_lacks_is_a_problem(path: str, allowed: str) -> None:
    async with served(key_values(), policies()) as site:
        said = await site.ask("POST", path, b"x")
        assert (said.status, said.headers["allow"]) == (405, allowed)
        assert said.headers["content-type"] == "application/problem+json"
        problem = orjson.loads(said.body)
        assert problem["type"] == "/v1/problems/method"
        assert problem["detail"] == f"this path has only {allowed}"
    async with served(key_values()) as site:  # other paths are the contract's, in its own words
        said = await site.ask("POST", "/kvs/a", b"x")
        assert (said.status, said.headers["content-type"]) == (405, "application/json")


async def test_a_head_says_what_a_get_says_without_the_body() -> None:
    async with served(key_values()) as site:
        got, head = await site.ask("GET", "/v1/kv/none"), await site.ask("HEAD", "/v1/kv/none")
        assert (got.status, head.status) == (404, 404)
        assert head.headers["content-length"] == got.headers["content-length"]
        assert head.body == b""
