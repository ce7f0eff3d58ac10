"""The native API on a running cluster: two editors, a cut, levels, and the contracts beside it."""

import random
import time
from typing import Any
from urllib.parse import unquote

import pytest

from tests.scenarios.conftest import Cluster
from tests.scenarios.native_calls import ALL, OPENER, TEXT, kv, values_of
from tests.scenarios.script import ask, eventually

HEALED_S = 10.0


def test_two_editors_make_siblings_and_one_resolves_them(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    first = kv(urls[0], "PUT", "doc/1", b"one", **TEXT, Kv_Meta_By="eve")
    assert first.status == 201
    seen = [kv(url, "GET", "doc/1", Kv_Token=first.headers["Kv-Token"]) for url in urls]
    assert {(said.status, said.body, said.headers["Kv-Meta-By"]) for said in seen} == {
        (200, b"one", "eve")
    }
    assert len({said.headers["ETag"] for said in seen}) == 1
    edits = [
        kv(urls[n], "PUT", "doc/1", text, **TEXT, Kv_Context=seen[n].context)
        for n, text in ((1, b"two"), (4, b"three"))
    ]
    assert [said.status for said in edits] == [200, 200]
    tokens = {"Kv_Token": edits[1].headers["Kv-Token"]}
    both = kv(urls[2], "GET", "doc/1", **tokens)
    assert eventually(lambda: kv(urls[2], "GET", "doc/1", **tokens).status == 300, HEALED_S)
    both = kv(urls[2], "GET", "doc/1", **tokens)
    assert values_of(both) == ["three", "two"]
    one_of = kv(urls[2], "GET", f"doc/1?sibling={both.json['siblings'][0]['id']}")
    assert (one_of.status, one_of.headers["Content-Type"]) == (200, "text/plain")
    merged = kv(urls[5], "PUT", "doc/1", b"both", **TEXT, Kv_Context=both.context)
    after = kv(urls[3], "GET", "doc/1", Kv_Token=merged.headers["Kv-Token"])
    assert (after.status, after.body) == (200, b"both")
    assert after.headers["ETag"] == merged.headers["ETag"]
    assert kv(urls[3], "GET", "doc/1", If_None_Match=after.headers["ETag"]).status == 304


@pytest.mark.timeout(120)
def test_two_editors_who_never_read_keep_two_siblings(cluster: Cluster) -> None:
    """Each writes 100 times, at one node after another, with the context of its last write."""
    urls = list(cluster.urls.values())
    context, token = {"eve": "none", "tom": "none"}, {"eve": "", "tom": ""}
    for turn in range(100):
        for place, who in enumerate(context):
            wrote = kv(
                urls[(turn + place) % 6],
                "PUT",
                "doc/2",
                f"{who} {turn}".encode(),
                **TEXT,
                Kv_Context=context[who],
                Kv_Token=token[who],
            )
            assert wrote.status in (200, 201), wrote.body
            context[who], token[who] = wrote.context, wrote.headers["Kv-Token"]
            query, mine = "doc/2?envelope=true", {"Kv_Token": token[who]}
            values = values_of(kv(urls[(turn + 3 * place + 1) % 6], "GET", query, **mine))
            assert f"{who} {turn}" in values
            assert len(values) <= 2
    both = kv(urls[0], "GET", "doc/2?r=all")
    assert values_of(both) == ["eve 99", "tom 99"]
    assert kv(urls[4], "PUT", f"doc/2?{ALL}", b"one", **TEXT, Kv_Context=both.context).status == 200
    assert {kv(url, "GET", "doc/2").body for url in urls} == {b"one"}


def test_without_any_header_the_second_write_replaces_the_first(cluster: Cluster) -> None:
    first, second, third = list(cluster.urls.values())[1:4]
    assert kv(first, "PUT", "plain", b"one").status == 201
    assert kv(second, "PUT", "plain", b"two").status in (200, 201)
    assert eventually(lambda: kv(third, "GET", "plain").body == b"two", HEALED_S)
    assert kv(third, "GET", "plain?r=all").status == 200  # and no sibling anywhere


STRANGE = ("a/b", "%C3%BC", "%252F", "..", "a/../b/.", "%F0%9F%8D%90", "%20", "k" * 1024)


def test_any_key_and_any_bytes_come_back_as_they_were_sent(cluster: Cluster) -> None:
    here, there = list(cluster.urls.values())[::5]
    value = random.Random(17).randbytes(1024 * 1024)
    for number, key in enumerate(STRANGE):
        body = value if key == ".." else f"{number}".encode()
        wrote = kv(here, "PUT", key, body, Content_Type="image/png", Kv_Meta_Name=key)
        assert wrote.status == 201, (key, wrote.body)
        assert wrote.json["key"] == unquote(key)
        read = kv(there, "GET", key, Kv_Token=wrote.headers["Kv-Token"])
        assert (read.status, read.body == body) == (200, True), key
        assert (read.headers["Content-Type"], read.headers["Kv-Meta-Name"]) == ("image/png", key)
    for key in ("%00", "k" * 1025, "%FF", ""):
        assert kv(here, "PUT", key, b"x").status == 400, key


def test_conditions_are_kept_at_every_node(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    made = kv(urls[0], "PUT", "cond", b"1", If_None_Match="*")
    assert made.status == 201
    for url in urls:
        token = {"Kv_Token": made.headers["Kv-Token"]}
        assert kv(url, "PUT", "cond", b"2", **token, If_None_Match="*").status == 412
        assert kv(url, "PUT", "cond", b"2", **token, If_Match='"x"').status == 412
    over = kv(urls[4], "PUT", "cond", b"2", If_Match=made.headers["ETag"], **{
        "Kv_Token": made.headers["Kv-Token"]
    })  # fmt: skip
    assert over.status == 200
    gone = kv(urls[1], "DELETE", "cond", Kv_Token=over.headers["Kv-Token"])
    assert (gone.status, gone.body) == (204, b"")
    again = kv(urls[2], "DELETE", "cond", Kv_Token=gone.headers["Kv-Token"])
    assert (again.status, again.json["type"]) == (404, "/v1/problems/absent")


def test_contracts_see_the_values_and_write_them(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    kv(urls[0], "PUT", f"mixed?{ALL}", b'say "hi"', **TEXT)
    assert ask("GET", f"{urls[3]}/kvs/mixed")[1]["value"] == 'say "hi"'
    kv(urls[0], "PUT", f"mixed?{ALL}", b"\xff", Content_Type="image/x")
    assert ask("GET", f"{urls[3]}/kvs/mixed")[1]["value"] == "/w=="
    ask("PUT", f"{urls[1]}/kvs/mixed", {"value": {"a": 1.50}, "causal-metadata": {}})
    said = kv(urls[1], "GET", "mixed?r=all")
    assert (said.status, said.headers["Content-Type"]) == (200, "application/json")
    assert said.json == {"a": 1.5}
    assert said.headers["Kv-Reads"] == "3/3"


def set_policy(url: str, prefix: str, policy: object) -> Any:
    status, body, _ = ask("PUT", f"{url}/v1/policies/{prefix}", policy)
    assert status == 200, body
    return body


def policies_of(url: str) -> Any:
    return ask("GET", f"{url}/v1/policies")[1]["policies"]


@pytest.mark.timeout(120)
def test_a_policy_is_the_same_at_all_nodes_and_stays_when_the_view_changes(
    cluster: Cluster,
) -> None:
    urls = list(cluster.urls.values())
    set_policy(urls[0], "carts/", {"merge": "union", "blind": "sibling"})
    told = set_policy(urls[4], "once/", {"blind": "refuse"})["policies"]
    assert eventually(lambda: all(policies_of(url) == told for url in urls), HEALED_S)
    for url, text in ((urls[0], b'["milk"]'), (urls[5], b'["eggs","milk"]')):
        assert kv(url, "PUT", f"carts/1?{ALL}", text, Content_Type="application/json").status < 300
    union = kv(urls[3], "GET", "carts/1?r=all")
    assert (union.status, sorted(union.json)) == (200, ["eggs", "milk"])
    assert union.headers["Kv-Siblings"] == "2"
    assert kv(urls[1], "PUT", "once/1", b"x").status == 428
    assert kv(urls[1], "PUT", "once/1", b"x", If_None_Match="*").status == 201
    for shards in (3, 2):
        status, body, _ = ask("PUT", f"{urls[2]}/shard/reshard", {"shard-count": shards})
        assert status == 200, body
        assert eventually(lambda: all(policies_of(url) == told for url in urls), HEALED_S)
    for prefix in ("carts/", "once/"):
        assert ask("DELETE", f"{urls[1]}/v1/policies/{prefix}")[0] == 200
    assert eventually(lambda: not any(map(policies_of, urls)), HEALED_S)


def test_a_value_expires_everywhere_and_what_stands_beside_it_stays(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    short = kv(urls[0], "PUT", f"ttl/1?ttl=1.5&{ALL}", b"short", **TEXT)
    assert short.status == 201
    ends = float(short.headers["Kv-Expires"])
    beside = kv(urls[3], "PUT", f"ttl/1?{ALL}", b"beside", **TEXT, Kv_Context="none")
    alone = kv(urls[0], "PUT", f"ttl/2?ttl=1.5&{ALL}", b"alone", **TEXT)
    longer = kv(urls[0], "PUT", f"ttl/3?ttl=1.5&{ALL}", b"longer", **TEXT, Kv_Meta_By="eve")
    longer = kv(urls[4], "PATCH", f"ttl/3?ttl=600&{ALL}", Kv_Token=longer.headers["Kv-Token"])
    assert (beside.status, alone.status, longer.status) == (200, 201, 200)
    both = kv(urls[1], "GET", "ttl/1?r=all")
    assert (both.status, both.headers["Kv-Expires"]) == (300, short.headers["Kv-Expires"])

    def is_over() -> bool:
        said = [kv(url, "GET", "ttl/2") for url in urls]
        return {each.status for each in said} == {404} and time.time() > ends

    assert eventually(is_over, HEALED_S)
    for url in urls:
        left = kv(url, "GET", "ttl/1?r=all")
        assert (left.status, left.body) == (200, b"beside")
        assert "Kv-Expires" not in left.headers
        kept = kv(url, "GET", "ttl/3?r=all")
        assert (kept.body, kept.headers["Kv-Meta-By"]) == (b"longer", "eve")


@pytest.mark.timeout(120)
def test_both_sides_of_a_cut_go_on_and_levels_say_what_was_reached(cluster: Cluster) -> None:
    alone, *others = cluster.names[: cluster.topology.replicas]
    here, there = cluster.urls[alone], cluster.urls[others[0]]
    address = cluster.address(alone)
    key = next(
        f"cut/{n}"
        for n in range(100)
        if kv(here, "PUT", f"cut/{n}", b"0", **TEXT).headers["Kv-Served-By"] == address
    )
    cluster.engine.split([[alone], [name for name in cluster.names if name != alone]])
    try:
        mine = kv(here, "PUT", key, b"here", **TEXT)
        assert (mine.status, mine.headers["Kv-Acks"]) == (200, "1/3")
        ahead = kv(there, "PUT", key, b"there", **TEXT).headers["Kv-Token"]
        missed = kv(here, "PUT", f"{key}?w=all&timeout=0.5", b"here", **TEXT)
        problem = missed.json
        assert (missed.status, problem["type"]) == (503, "/v1/problems/unavailable")
        assert (problem["definite"], problem["acks"], problem["reached"]) == (False, 1, [address])
        assert kv(here, "GET", f"{key}?r=all&timeout=0.5").status == 503
        unmet = kv(here, "GET", f"{key}?on-miss=fail", Kv_Token=ahead)
        assert (unmet.status, unmet.json["type"]) == (503, "/v1/problems/unmet")
        stale = kv(here, "GET", f"{key}?on-miss=stale", Kv_Token=ahead)
        assert (stale.status, stale.body) == (200, b"here")
        assert stale.headers["Kv-Missing"]
    finally:
        cluster.engine.heal()

    def has_both() -> bool:
        shown = [kv(cluster.urls[name], "GET", key) for name in (alone, *others)]
        return all(said.status == 300 and values_of(said) == ["here", "there"] for said in shown)

    assert eventually(has_both, HEALED_S)
    both = kv(there, "GET", key)
    assert kv(there, "PUT", f"{key}?{ALL}", b"one", **TEXT, Kv_Context=both.context).status == 200
    assert kv(here, "GET", key).body == b"one"


@pytest.mark.timeout(120)
def test_two_of_three_replicas_are_enough_for_two_and_for_three_with_a_hint(
    cluster: Cluster,
) -> None:
    dead, urls, key = cluster.names[1], cluster.urls, ""
    shard = [cluster.address(name) for name in cluster.names[: cluster.topology.replicas]]
    alive = [name for name in cluster.names if name != dead]

    def is_noticed() -> bool:
        told = [ask("GET", f"{urls[name]}/v1/status")[1]["peers"] for name in alive]
        return not any(peers[cluster.address(dead)]["reachable"] for peers in told)

    cluster.engine.kill(dead)
    try:
        assert eventually(is_noticed, HEALED_S)
        for n in range(20):
            text = f"{n}".encode()
            here, there = urls[alive[n % 5]], urls[alive[(n + 2) % 5]]
            wrote = kv(here, "PUT", f"two/{n}?w=2&strict=true", text, **TEXT)
            read = kv(there, "GET", f"two/{n}?r=2&strict=true")
            assert (wrote.status, read.status, read.body) == (201, 200, text)
            key = f"two/{n}" if wrote.headers["Kv-Served-By"] in shard else key
        said = kv(urls[alive[0]], "PUT", f"{key}?w=3&strict=true&timeout=0.5", b"three", **TEXT)
        assert (said.status, said.json["definite"], said.json["acks"]) == (503, False, 2)
        assert kv(urls[alive[0]], "GET", f"{key}?r=2").body == b"three"
        hinted = kv(urls[alive[0]], "PUT", f"{key}?w=3", b"hinted", **TEXT)
        assert (hinted.status, hinted.headers["Kv-Acks"]) == (200, "2/3")
        assert hinted.headers["Kv-Hints"] == "1"
        assert kv(urls[alive[0]], "GET", f"{key}?r=3&timeout=0.5").json["definite"]
    finally:
        cluster.engine.start(dead)
        cluster.await_ready()
    assert kv(urls[dead], "PUT", f"{key}?w=3&strict=true", b"four", **TEXT).status == 200


@pytest.mark.timeout(120)
def test_each_refusal_says_its_kind_and_writes_nothing(cluster: Cluster) -> None:
    urls = list(cluster.urls.values())
    here, there = urls[::5]
    told = set_policy(here, "strict/", {"blind": "refuse"})["policies"]
    assert eventually(lambda: all(policies_of(url) == told for url in urls), HEALED_S)
    for number in range(100):
        text = f"{number}".encode()
        assert kv(here, "PUT", f"full?{ALL}", text, **TEXT, Kv_Context="none").status in (200, 201)
    large, labels = b"x" * (1024 * 1024 + 1), {f"Kv_Meta_{n}": "x" for n in range(33)}
    refusals = [
        (400, "malformed", kv(there, "GET", "new?r=some")),
        (404, "absent", kv(there, "GET", "new")),
        (404, "absent", kv(there, "DELETE", "new")),
        (405, "method", kv(there, "POST", "new")),
        (409, "siblings", kv(there, "PUT", "full", b"x", Kv_Context="none")),
        (412, "condition", kv(there, "PUT", "new", b"x", If_Match="*")),
        (413, "too-large", kv(there, "PUT", "new", large)),
        (415, "encoding", kv(there, "PUT", "new", b"x", Content_Encoding="gzip")),
        (428, "context", kv(there, "PUT", "strict/new", b"x")),
        (431, "labels", kv(there, "PUT", "new", b"x", **labels)),
    ]
    for status, kind, said in refusals:
        assert (said.status, said.headers["Content-Type"]) == (status, "application/problem+json")
        assert (said.json["status"], said.json["definite"]) == (status, True)
        assert said.json["type"] == f"/v1/problems/{kind}"
        path = f"{there}{said.json['type']}"
        with OPENER.open(path, timeout=5.0) as reply:
            assert f"({status})" in reply.read().decode().splitlines()[0]
    assert kv(here, "GET", "new?r=all").status == kv(here, "GET", "strict/new?r=all").status == 404
    assert len(values_of(kv(there, "GET", "full?r=all"))) == 100
