"""The demonstration: its log on a cluster of its own, and its errors where it cannot run."""

import re
from pathlib import Path

import pytest

from coterie import demo
from tests.scenarios.conftest import Cluster
from tests.scenarios.contracts import Causal, speaking

pytestmark = pytest.mark.xdist_group("processes")

LINE = re.compile(r" *\d+\.\d\d s  (node \d)? +(.*)")
NOBODY = ",".join(f"http://127.0.0.1:{port}" for port in (1, 2, 3))


def urls_of(cluster: Cluster) -> str:
    return ",".join(cluster.urls.values())


def logged(text: str) -> list[tuple[str, str]]:
    """Return the log line by line, without the first line, which names the story."""
    found = [LINE.fullmatch(line) for line in text.splitlines()[1:]]
    assert all(found), text
    return [(line[1] or "", line[2].strip()) for line in found if line]


def index_of(lines: list[tuple[str, str]], who: str, beginning: str) -> int:
    return next(n for n, (w, line) in enumerate(lines) if w == who and line.startswith(beginning))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_both_stories_go_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking("process", Causal, tmp_path, 1, 3) as cluster:
        cluster.await_ready()
        assert demo.main(["causal", "--urls", urls_of(cluster)]) == demo.WENT_WELL
        causal_is_told(logged(capsys.readouterr().out))
        assert demo.main(["order", "--urls", urls_of(cluster)]) == demo.WENT_WELL
        order_is_told(logged(capsys.readouterr().out))


def causal_is_told(lines: list[tuple[str, str]]) -> None:
    """Write, read elsewhere, dependent update, concurrent write, and each node's final state."""
    steps = [
        index_of(lines, "node 0", "writes cart"),
        index_of(lines, "node 1", "reads  cart"),
        index_of(lines, "node 1", "writes cart"),
        index_of(lines, "node 2", "writes cart"),
        index_of(lines, "", "the final state"),
    ]
    assert steps == sorted(steps)
    for step in steps[:4]:
        assert re.fullmatch(r"clock \[node 0=\d node 1=\d node 2=\d\]", lines[step + 1][1])
    final = lines[steps[-1] + 1 : -2]
    assert [who for who, _ in final] == ["node 0"] * 2 + ["node 1"] * 2 + ["node 2"] * 2
    assert len({line for _, line in final}) == 2  # one clock and one store
    assert lines[-1] == ("", "causal: as it should be")


def order_is_told(lines: list[tuple[str, str]]) -> None:
    """The answer in the buffer, with what it waits for, before the question has come."""
    at = index_of(lines, "node 2", "buffer answer")
    assert re.search(r'"it is me" \[.*\], waits for \[node 0=\d+\]', lines[at][1])
    assert index_of(lines, "node 1", "writes answer") < at
    assert at < index_of(lines, "node 2", "the question has come") < len(lines) - 1
    assert sum(line.endswith("buffer empty") for _, line in lines) == 3
    assert lines[-1] == ("", "order: as it should be")


@pytest.mark.parametrize("urls", ["", "http://127.0.0.1:1, http://127.0.0.1:2"])
def test_too_few_nodes_are_a_mistake_of_the_command(
    urls: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["causal", "--urls", urls]) == demo.USAGE
    assert "expected the URLs of 3 nodes" in capsys.readouterr().err


def test_where_no_node_answers_it_names_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["order", "--urls", NOBODY]) == demo.UNAVAILABLE
    assert "node 0 at http://127.0.0.1:1 does not answer" in capsys.readouterr().err


@pytest.mark.slow
def test_nodes_of_another_contract_or_of_two_shards_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking("process", Causal, tmp_path, 2, 3) as cluster:
        cluster.await_ready()
        assert demo.main(["causal", "--urls", urls_of(cluster)]) == demo.UNAVAILABLE
        assert "node 0 is of another shard" in capsys.readouterr().err
        elsewhere = urls_of(cluster).replace(",", "/v1,")
        assert demo.main(["causal", "--urls", elsewhere]) == demo.UNAVAILABLE
        assert "does not speak the causal contract" in capsys.readouterr().err


def test_an_unknown_story_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        demo.main(["love"])
    assert ended.value.code == demo.USAGE
    assert "causal" in capsys.readouterr().err
