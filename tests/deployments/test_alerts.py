"""The rules of Prometheus and the board of Grafana: each metric and each label in them is one that
a running node serves.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deployments.deployed import OPENER, ROOT
from tests.node_process import called_until, environment, free_addresses, node, said
from tests.tables import DOCS

RULES = ROOT / "deploy" / "prometheus-rules.yaml"
BOARD = ROOT / "deploy" / "grafana-board.json"
ADDED = {"job", "instance"}  # labels of Prometheus itself
OWN = {"up": ADDED}  # a metric of Prometheus itself
# What Grafana puts in before Prometheus sees it.
VARIABLES = {"$__rate_interval": "5m", "$job": ".*"}

Served = dict[str, set[str]]


def rules() -> list[dict[str, Any]]:
    read = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    """Return each expression of the rules and of the board."""
    of_board = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable, text in VARIABLES.items():
        of_board = [each.replace(variable, text) for each in of_board]
    return [*(rule["expr"] for rule in rules()), *of_board]


def parts_of(expression: object) -> Iterator[object]:
    """Yield each part of a parsed expression."""
    yield expression
    for name in ("lhs", "rhs", "expr", "args", "param", "vector_selector"):
        inner = getattr(expression, name, None)
        for part in inner if isinstance(inner, list) else [inner]:
            if part is not None:
                yield from parts_of(part)


def used_in(text: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of an expression, with the labels that it is chosen by or grouped by."""
    parts = list(parts_of(promql_parser.parse(text)))
    grouped = {label for part in parts for label in _grouping(part)}
    for part in parts:
        if isinstance(part, promql_parser.VectorSelector):
            yield str(part.name), grouped | {each.name for each in part.matchers.matchers}


def _grouping(part: object) -> Iterable[str]:
    modifier = getattr(part, "modifier", None)
    return getattr(modifier, "labels", ()) if modifier is not None else ()


def unknown_in(texts: Iterable[str], served: Served) -> list[str]:
    """Return the metrics and labels of the expressions that no node serves."""
    wrong = []
    for metric, labels in (use for text in texts for use in used_in(text)):
        if metric not in served | OWN:
            wrong.append(metric)
        elif strange := labels - served.get(metric, set()) - ADDED:
            wrong.append(f"{metric} by {sorted(strange)}")
    return wrong


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Ask a node, which has a peer, for its metrics; return the labels of each.

    A node alone has no hints: their family has a name and no sample.
    """
    addresses = free_addresses(2)
    folder = tmp_path_factory.mktemp("metrics")
    first, second = (environment(folder, each, VIEW=",".join(addresses)) for each in addresses)
    shape = {"SHARD_COUNT": "1"}
    with node({**first, **shape}) as one, node({**second, **shape}) as two:
        for process in (one, two):
            said(process, "serving at")
        called_until(201, "PUT", addresses[0], "/v1/kv/cart?w=all&strict=true", ["milk"])
        with OPENER.open(f"http://{addresses[0]}/metrics", timeout=20.0) as answer:
            text = answer.read().decode()
    found: Served = {name: {"peer"} for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = set(sample.labels)
    return found


def test_each_metric_is_one_of_a_node(served: Served) -> None:
    assert len(expressions()) > 30
    assert unknown_in(expressions(), served) == []


def test_a_metric_or_label_of_no_node_is_noticed(served: Served) -> None:
    wrong = [
        "coterie_red == 0",
        "sum by (key) (rate(coterie_http_requests_total[5m])) / sum(coterie_keys)",
        'coterie_peer_up{route="/"} unless count by (job) (coterie_absent)',
    ]
    assert unknown_in(wrong, served) == [
        "coterie_red",
        "coterie_http_requests_total by ['key']",
        "coterie_keys by ['key']",
        "coterie_peer_up by ['route']",
        "coterie_absent",
    ]


def test_each_metric_that_warns_is_on_the_board() -> None:
    on_board = {
        name for panel in panels() for t in panel["targets"] for name in names_in(t["expr"])
    }
    warning = {name for rule in rules() for name in names_in(rule["expr"])}
    assert warning - on_board <= {"coterie_hints_no_room_total", "coterie_http_crashes_total"}


def names_in(text: str) -> set[str]:
    return set(re.findall(r"coterie_\w+", text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    path, _, anchor = rule["annotations"]["page"].partition("#")
    page = (ROOT / path).read_text(encoding="utf-8")
    heading = f"### {anchor.replace('-', ' ').capitalize()}\n"
    assert f"`{rule['alert']}`" in page.partition(heading)[2].partition("\n#")[0]


def test_labels_in_summaries_are_left_by_the_expression() -> None:
    for rule in rules():
        wanted = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
        left = set(grouped[1].replace(" ", "").split(",")) if grouped else ADDED | {"peer"}
        assert wanted <= left, rule["alert"]


def test_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_the_files_are_where_the_page_says() -> None:
    page = (DOCS / "deploy.md").read_text(encoding="utf-8")
    assert all(f"deploy/{Path(path).name}" in page for path in (RULES, BOARD))
