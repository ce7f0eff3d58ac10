"""Matching: whole paths first, then the longest literal beginning; the rest is a placeholder."""

import pytest

from node.api.contract import Call, Dialect, Reply, Route
from node.shell.http.router import Table, decoded

PATTERNS = (
    "/kvs/{key}",
    "/kvs/all/{page}",
    "/kvs/all/now",
    "/buckets/{bucket}/keys/{key}",
    "/{anything}",
)


def answer(call: Call) -> Reply:
    return Reply(200, b"")


def not_found(path: str) -> Reply:
    return Reply(404, b"")


def dialect(*patterns: str, name: str = "test") -> Dialect:
    return Dialect(name, tuple(Route("GET", pattern, answer) for pattern in patterns), not_found)


TABLE = Table([dialect(*PATTERNS)])


@pytest.mark.parametrize(
    ("path", "pattern", "placeholders"),
    [
        ("/kvs/a", "/kvs/{key}", {"key": "a"}),
        ("/kvs/a/b/", "/kvs/{key}", {"key": "a/b/"}),
        ("/kvs/all", "/kvs/{key}", {"key": "all"}),
        ("/kvs/all/2", "/kvs/all/{page}", {"page": "2"}),
        ("/kvs/all/now", "/kvs/all/now", {}),
        ("/kvs/all/nowhere", "/kvs/all/{page}", {"page": "nowhere"}),
        ("/buckets/b/keys/k/l", "/buckets/{bucket}/keys/{key}", {"bucket": "b", "key": "k/l"}),
        ("/buckets/b/kex/k", "/{anything}", {"anything": "buckets/b/kex/k"}),
        ("/buckets//keys/k", "/{anything}", {"anything": "buckets//keys/k"}),
        ("/buckets/b", "/{anything}", {"anything": "buckets/b"}),
        ("/kvs/", "/{anything}", {"anything": "kvs/"}),
        ("/kvsx", "/{anything}", {"anything": "kvsx"}),
    ],
)
def test_the_most_specific_wins(path: str, pattern: str, placeholders: dict[str, str]) -> None:
    found = TABLE.find("GET", path)
    assert found is not None
    assert (found[0].pattern, found[1]) == (pattern, placeholders)


@pytest.mark.parametrize("path", ["/", "", "*", "kvs/a"])
def test_paths_without_a_route(path: str) -> None:
    assert TABLE.find("GET", path) is None
    assert TABLE.methods_of(path) == []


def test_a_method_may_stand_at_a_less_specific_pattern() -> None:
    put = Dialect("put", (Route("PUT", "/kvs/{name}", answer),), not_found)
    table = Table([dialect(*PATTERNS[:3]), put])
    found = table.find("PUT", "/kvs/all/now")
    assert found is not None
    assert found[1] == {"name": "all/now"}
    assert table.methods_of("/kvs/all/now") == ["GET", "HEAD", "PUT"]


def test_two_owners_of_one_route_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one and two both claim GET /a/\{y\}"):
        Table([dialect("/a/{x}", name="one"), dialect("/a/{y}", name="two")])


def test_a_dialect_may_have_its_own_head() -> None:
    own = Dialect("own", (Route("HEAD", "/a", answer), Route("GET", "/a", answer)), not_found)
    assert len(list(Table([own]).endpoints())) == 2


@pytest.mark.parametrize("pattern", ["/a{x}", "/{x}/b", "/{x", "/{}", "/{x}{y}"])
def test_a_placeholder_is_a_whole_segment_and_ends_the_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="route"):
        Table([dialect(pattern)])


def test_percent_signs() -> None:
    assert decoded({"key": "a+b"}) == {"key": "a+b"}
    assert decoded({"key": "%61%2Fb%25"}) == {"key": "a/b%"}
    assert decoded({"key": "%zz"}) == {"key": "%zz"}
    assert decoded({"key": "%ff"}) is None
