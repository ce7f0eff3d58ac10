"""/metrics has every number that is promised, once, and never a key."""

import json
from importlib.metadata import PackageNotFoundError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from node.core.model.item import Item
from node.core.model.options import Start
from node.core.model.view import no_view
from node.shell.http.metrics import build
from node.shell.peers.peer import LinkCounts
from tests.web import NODES, Site, served

Labels = tuple[tuple[str, str], ...]


async def scraped(site: Site) -> dict[tuple[str, Labels], float]:
    """Return each sample by its name and sorted labels."""
    said = await site.ask("GET", "/metrics")
    assert said.status == 200
    assert said.headers["content-type"].startswith("text/plain")
    samples = {}
    for family in text_string_to_metric_families(said.body.decode()):
        for sample in family.samples:
            name = sample.name, tuple(sorted(sample.labels.items()))
            assert name not in samples
            samples[name] = sample.value
    return samples


def route(pattern: str, method: str, code: int | None = None) -> Labels:
    labels = {"route": pattern, "method": method} | ({"code": str(code)} if code else {})
    return tuple(sorted(labels.items()))


async def test_requests_are_counted_by_route_method_and_code() -> None:
    async with served() as site:
        wire = await site.wire()
        for key in ("secret-1", "secret-2"):
            await wire.ask("PUT", f"/kvs/{key}", b'{"value":1}')
        await wire.ask("PUT", "/kvs/secret-1", b'{"value":1}')
        await wire.ask("GET", "/nothing")
        await wire.ask("POST", "/view")
        wire.send(b"nonsense\r\n\r\n")
        await wire.read()
        samples = await scraped(site)
    requests, seconds = "coterie_http_requests_total", "coterie_http_request_seconds"
    assert samples[requests, route("/kvs/{key}", "PUT", 201)] == 2
    assert samples[requests, route("/kvs/{key}", "PUT", 200)] == 1
    assert samples[requests, route("unmatched", "any", 404)] == 1
    assert samples[requests, route("unmatched", "any", 405)] == 1
    assert samples[requests, route("malformed", "any", 400)] == 1
    assert samples[f"{seconds}_count", route("/kvs/{key}", "PUT")] == 3
    assert samples[f"{seconds}_sum", route("/kvs/{key}", "PUT")] > 0
    assert "secret" not in str(samples)


async def test_the_node_and_its_links_are_told() -> None:
    async with served(store_stats=lambda: {"commits": 5, "rows": 9, "seconds": 0.5}) as site:
        samples = await scraped(site)
    peer = ("peer", NODES[1])
    expected = {
        ("coterie_view_number", ()): 1,
        ("coterie_keys", ()): 0,
        ("coterie_parked_reads", ()): 0,
        ("coterie_pending_writes", ()): 0,
        ("coterie_repair_objects_total", ()): 0,
        ("coterie_scrub_passes_total", ()): 0,
        ("coterie_rot_found_total", ()): 0,
        ("coterie_rot_repaired_total", ()): 0,
        ("coterie_http_crashes_total", ()): 0,
        ("coterie_store_commits_total", ()): 5,
        ("coterie_store_rows_total", ()): 9,
        ("coterie_store_commit_seconds_total", ()): 0.5,
        ("coterie_ready", ()): 0,  # it has compared nothing yet
        ("coterie_settled", ()): 1,
        ("coterie_shard_member", (("shard", "s1"),)): 1,
        ("coterie_peer_up", (peer,)): 1,
        ("coterie_link_frames_total", (("direction", "sent"), peer)): 3,
        ("coterie_link_frames_total", (("direction", "received"), peer)): 2,
        ("coterie_link_dropped_total", (peer,)): 1,
    }
    assert {name: samples[name] for name in expected} == expected
    assert [name for name, _ in samples].count("coterie_build_info") == 1


async def test_hints_are_told_by_owner() -> None:
    async with served() as site:
        none = await scraped(site)
        hints = site.driver.replica.keyspace.hints
        for n, target in ((1, "a:1"), (2, "a:1"), (3, "b:2")):
            assert hints.add(target, "key", Item(), ("hhhhhhrrrrrr.1", n))
        some = await scraped(site)
    assert [name for name, _ in none].count("coterie_hints") == 0
    assert none["coterie_hint_age_seconds", ()] == none["coterie_hints_no_room_total", ()] == 0
    told = {labels: n for (name, labels), n in some.items() if name == "coterie_hints"}
    assert told == {(("peer", "a:1"),): 2, (("peer", "b:2"),): 1}
    assert some["coterie_hint_age_seconds", ()] > 0


async def test_peers_come_and_go_between_two_scrapes() -> None:
    async with served() as site:
        site.links.tallies = {"a:1": LinkCounts(), "unlisted:2": LinkCounts(up=True)}
        first = await scraped(site)
        del site.links.tallies["unlisted:2"]
        second = await scraped(site)
    assert first["coterie_peer_up", (("peer", "unlisted:2"),)] == 1
    assert first["coterie_peer_up", (("peer", "a:1"),)] == 0
    assert "unlisted:2" not in str(second)


async def test_a_node_that_knows_no_view_says_number_0() -> None:
    async with served(start=Start(no_view(NODES), join=True)) as site:
        samples = await scraped(site)
        said = await site.ask("GET", "/v1/status")
    assert samples["coterie_view_number", ()] == samples["coterie_ready", ()] == 0
    assert "coterie_shard_member" not in {name for name, _ in samples}
    assert said.headers["kv-view"] == "0"


async def test_a_store_without_numbers_is_not_shown() -> None:
    async with served() as site:
        assert "coterie_store" not in str(await scraped(site))


async def test_status_is_what_the_replica_says() -> None:
    async with served() as site:
        said = await site.ask("GET", "/v1/status")
        assert json.loads(said.body)["view"]["nodes"] == list(NODES)


async def test_a_scrape_counts_itself_next_time() -> None:
    async with served() as site:
        first, second = await scraped(site), await scraped(site)
    name = "coterie_http_requests_total", route("/metrics", "GET", 200)
    assert name not in first
    assert second[name] == 1


def test_what_runs_here_may_be_a_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("node.shell.http.metrics.version", version)
    assert build()["version"] == "unknown"
