"""Commands about keys, beyond docs/command.md: arguments, sessions, exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from cluster.cli import session_file
from cluster.cli.client_session import code_of, words_of
from cluster.cli.data_commands import (
    WriteOptions,
    context_in,
    level_of,
    read_level_of,
    value_of,
)
from cluster.cli.session_file import CONTEXTS_MAX, SavedSession
from cluster.engines.engine import recalled
from cluster.engines.launch import UpOptions, up
from cluster.engines.processes import ProcessEngine
from cluster.engines.topology import Trouble
from coterie import (
    Absent,
    BadRequest,
    Conflict,
    ContextWanted,
    CoterieError,
    Incomplete,
    Unavailable,
    Unexpected,
    Unmet,
)
from tests.coterie_command import PROGRAM, coterie, done
from tests.launching import QUIET, ROOT, WAIT_S
from tests.scenarios.conftest import free_port_block

PORTS = 24210


# ------------------------------------------------------------------ arguments
def test_a_value_is_text_json_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "cat").write_bytes(b"\x89PNG")
    text, raw = "text/plain; charset=utf-8", "application/octet-stream"
    assert value_of("milk") == (b"milk", text)
    assert value_of("42") == (b"42", text)
    assert value_of('["milk"]') == (b'["milk"]', "application/json")
    assert value_of('{ "a": 1 }') == (b'{ "a": 1 }', "application/json")
    assert value_of("[milk") == (b"[milk", text)
    assert value_of(f"@{tmp_path / 'cat'}") == (b"\x89PNG", raw)
    with pytest.raises(Trouble, match=r"nothing cannot be read: No such file") as trouble:
        value_of(f"@{tmp_path / 'nothing'}")
    assert trouble.value.code == 2


def test_levels_are_words_or_numbers() -> None:
    assert [level_of(w) for w in (None, "available", "all", "2")] == [None, "available", "all", 2]
    assert [read_level_of(r) for r in (None, "quorum", "3")] == [None, "quorum", 3]
    with pytest.raises(Trouble, match=r"--w is 'most'; expected available, one, quorum, all, or"):
        level_of("most")
    with pytest.raises(Trouble, match="--r is 'available'; expected one, quorum, all, or a"):
        read_level_of("available")


def test_the_context_of_a_write_is_given_or_that_of_the_session() -> None:
    saved = SavedSession("", {"k": "seen"})
    assert context_in(WriteOptions(), saved, "k") is None
    assert context_in(WriteOptions(context="none"), saved, "k") == "none"
    assert context_in(WriteOptions(context="last"), saved, "k") == "seen"
    with pytest.raises(Trouble, match="this session has not seen 'other': read it first"):
        context_in(WriteOptions(context="last"), saved, "other")


# ------------------------------------------------------------------ sessions
def test_a_session_is_kept_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "ann.json"
    assert session_file.load(path) == session_file.load(None) == SavedSession()
    session = SavedSession("token", {"k": "seen"})
    session_file.save(path, session)
    session_file.save(None, session)
    assert session_file.load(path) == session
    assert [each.name for each in tmp_path.iterdir()] == ["ann.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"token":1,"contexts":{}}', "\\"])
def test_what_is_no_session_file_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes"
    path.write_text(text)
    with pytest.raises(Trouble, match="is no session file: name another one") as trouble:
        session_file.load(path)
    assert (trouble.value.code, path.read_text()) == (2, text)


def test_contexts_in_the_file_must_be_texts(tmp_path: Path) -> None:
    path = tmp_path / "ann.json"
    path.write_text('{"token":"","contexts":{"k":1}}')
    with pytest.raises(Trouble, match="is no session file"):
        session_file.load(path)


def test_a_session_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"the session cannot be kept in .*: No such file"):
        session_file.save(tmp_path / "nowhere" / "ann.json", SavedSession())


def test_a_session_forgets_the_keys_that_it_has_not_used_for_long() -> None:
    session = SavedSession()
    for n in range(CONTEXTS_MAX):
        session.saw(str(n), "seen")
    session.saw("0", "again")
    session.saw("new", "seen")
    assert len(session.contexts) == CONTEXTS_MAX
    assert "1" not in session.contexts
    assert session.contexts["0"] == "again"


# ------------------------------------------------------------------ errors
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Absent("gone"), 3),
        (Conflict("k", [], "seen", "two"), 4),
        (ContextWanted("say"), 4),
        (BadRequest("bad"), 2),
        (Unavailable("away"), 5),
        (Incomplete("lacking", ["s2"]), 5),
        (Unmet("ahead"), 6),
        (Unexpected("no node"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: CoterieError, code: int) -> None:
    assert code_of(error) == code


def test_words_say_whether_a_write_may_be_done_and_what_helps() -> None:
    doubt = Unavailable("no answer", definite=False)
    assert words_of(doubt, "k") == "no answer; the write may be done or not"
    assert "`coterie explain k` says which" in words_of(Unmet("ahead"), "k")
    assert "`coterie resolve` writes one" in words_of(Conflict("k", [], "", "two"), "k")


def test_nodes_that_do_not_answer_are_unavailable(tmp_path: Path) -> None:
    engine = ProcessEngine("none", tmp_path)
    port = free_port_block(1, PORTS)
    urls = ("--url", f"http://127.0.0.1:{port}", "--timeout", "0.5")
    ended = coterie(engine, "get", "k", *urls)
    assert (ended.returncode, ended.stdout) == (5, "")
    assert "no node answered in time" in ended.stderr
    assert coterie(engine, "get", "k", "--url", "ftp://x").returncode == 2
    ended = coterie(engine, "get", "k")
    assert (ended.returncode, 'no cluster "none"' in ended.stderr) == (3, True)


# ------------------------------------------------------------------ a cluster
@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessEngine]:
    """Two nodes of one shard, as local processes."""
    home = tmp_path_factory.mktemp("keys")
    engine = ProcessEngine("keys", home)
    try:
        up(engine, UpOptions(1, 2, port=free_port_block(2, PORTS), wait_s=WAIT_S), QUIET, home)
        yield engine
    finally:
        engine.clean()


SLOW, GROUP = pytest.mark.slow, pytest.mark.xdist_group("coterie-keys")
Test = TypeVar("Test", bound=Callable[..., None])


def cluster_of_processes(test: Test) -> Test:
    """Mark a test that uses the cluster."""
    marked: Test = SLOW(GROUP(test))
    return marked


@cluster_of_processes
def test_any_bytes_come_back_as_they_were(engine: ProcessEngine, tmp_path: Path) -> None:
    value = bytes(range(256))
    (tmp_path / "raw").write_bytes(value)
    done(engine, "put", "raw", f"@{tmp_path / 'raw'}", "--w", "all")
    command = [sys.executable, "-c", PROGRAM, str(engine.home), "get", "raw", "--name", "keys"]
    read = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert read.stdout == value


@cluster_of_processes
def test_siblings_are_told_to_programs_and_one_is_picked(engine: ProcessEngine) -> None:
    for value in ("milk", '["eggs"]'):
        done(engine, "put", "two", value, "--context", "none", "--w", "all")
    ended = coterie(engine, "get", "two", "--json")
    document = json.loads(ended.stdout)
    assert ended.returncode == 4
    by_value = {json.dumps(each["value"]): each["id"] for each in document["siblings"]}
    assert set(by_value) == {'"milk"', '["eggs"]'}
    assert coterie(engine, "resolve", "two").returncode == 2
    ended = coterie(engine, "resolve", "two", "--pick", "none")
    assert (ended.returncode, "has no value 'none'" in ended.stderr) == (4, True)
    assert done(engine, "get", "two", "--sibling", by_value['"milk"']) == "milk"
    said = done(engine, "resolve", "two", "--pick", by_value['"milk"'], "--w", "all", "--json")
    assert json.loads(said)["siblings"] == 1
    read = json.loads(done(engine, "get", "two", "--json"))
    assert (read["value"], read["content_type"]) == ("milk", "text/plain; charset=utf-8")
    ended = coterie(engine, "resolve", "two", "--pick", by_value['"milk"'])
    assert (ended.returncode, "there is nothing to pick" in ended.stderr) == (4, True)
    ended = coterie(engine, "resolve", "two", "--by", "union")
    assert ended.returncode == 0


@cluster_of_processes
def test_conditions_labels_and_expiry_are_passed_on(engine: ProcessEngine) -> None:
    done(engine, "put", "once", "1", "--if-none-match", "*", "--meta", "by=ann", "--ttl", "99")
    ended = coterie(engine, "put", "once", "2", "--if-none-match", "*")
    assert ended.returncode == 4
    read = json.loads(done(engine, "get", "once", "--json", "--r", "all"))
    assert (read["meta"], read["expires"] > 0) == ({"by": "ann"}, True)
    done(engine, "delete", "once", "--if-match", read["etag"], "--json")
    ended = coterie(engine, "put", "once", "3", "--meta", "ann")
    assert (ended.returncode, "expected NAME=TEXT" in ended.stderr) == (2, True)


@cluster_of_processes
def test_one_node_is_asked_alone(engine: ProcessEngine) -> None:
    document = json.loads(done(engine, "explain", "k", "--node", "bob", "--json"))
    assert document["node"] == recalled(engine).node("bob").address
    ended = coterie(engine, "explain", "k", "--node", "zoe")
    assert (ended.returncode, "zoe" in ended.stderr) == (3, True)


@cluster_of_processes
def test_texts_are_decoded(engine: ProcessEngine, tmp_path: Path) -> None:
    session = tmp_path / "ann.json"
    done(engine, "put", "text", "1", "--session", str(session))
    saved = session_file.load(session)
    assert "to a key of slot" in done(engine, "token", "decode", saved.token)
    context = saved.contexts["text"]
    said = json.loads(done(engine, "context", "decode", context, "--key", "text", "--json"))
    assert said["words"] == [f"write {said['writes'][0]['n']} of {said['writes'][0]['node']}"]
    ended = coterie(engine, "context", "decode", context, "--key", "other")
    assert (ended.returncode, "of another key" in ended.stderr) == (2, True)
    ended = coterie(engine, "token", "decode", "abc")
    assert (ended.returncode, "is not a token" in ended.stderr) == (2, True)
