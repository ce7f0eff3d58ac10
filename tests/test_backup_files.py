"""A backup as files: what is written, and what is noticed when it is not as it was."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.cli import backup_commands, backup_files
from cluster.cli.backup_files import (
    BackupWriter,
    DamagedBackupError,
    checksum_of,
    faults_in,
    files_in,
    lines_of,
    manifest_in,
)
from cluster.cli.client_session import Asked
from cluster.engines.topology import Trouble
from coterie import BadRequest, Imported, ImportFailure, TooLarge

HEAD = {"export": 1, "view": "1", "began_at": 5.5, "shards": ["s1", "s2"], "unreached": []}
LAST = {"done": 4, "keys": 2, "values": 2, "counters": 1, "sets": 1, "unchanged": True}
LINES: list[dict[str, Any]] = [
    HEAD,
    {"policy": {"prefix": "a", "merge": "lww"}},
    {"shard": "s1"},
    {"key": "a", "content_type": "application/json", "value": 1},
    {"key": "b", "content_type": "text/plain", "value": "x"},
    {"shard": "s2"},
    {"counter": "c", "value": 5},
    {"set": "d", "elements": [1]},
    LAST,
]
NOWHERE = Asked(("http://127.0.0.1:1",), {}, None, 0.1)


def text_of(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode()


def written(directory: Path, lines: list[dict[str, Any]] = LINES, size: int = 10**6) -> Path:
    """Write a backup of these lines, and return its directory."""
    directory.mkdir(exist_ok=True)
    with BackupWriter(directory, size) as writer:
        for line in lines:
            writer.add(text_of(line))
        writer.end(6.5)
    return directory


def resealed(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest, and make its checksum fit again."""
    manifest = json.loads((directory / "manifest.json").read_text())
    change(manifest)
    manifest["sha256"] = checksum_of(manifest)
    (directory / "manifest.json").write_text(json.dumps(manifest))


def faults(directory: Path) -> list[str]:
    return list(faults_in(directory, manifest_in(directory)))


# ------------------------------------------------------------------ what is written
def test_each_shard_has_files_of_its_own_and_the_manifest_names_them(tmp_path: Path) -> None:
    directory = written(tmp_path)
    manifest = manifest_in(directory)
    assert sorted(path.name for path in directory.iterdir()) == [
        "cluster.ndjson", "manifest.json", "shard1-0001.ndjson", "shard2-0001.ndjson"
    ]  # fmt: skip
    assert [(f.name, f.shard, f.lines) for f in files_in(manifest)] == [
        ("cluster.ndjson", "", 1), ("shard1-0001.ndjson", "s1", 2), ("shard2-0001.ndjson", "s2", 2)
    ]  # fmt: skip
    assert (manifest["began_at"], manifest["ended_at"], manifest["keys"]) == (5.5, 6.5, 2)
    assert faults(directory) == []
    assert list(lines_of(directory / "shard2-0001.ndjson")) == [
        text_of(line) + b"\n" for line in LINES[6:8]
    ]


def test_a_file_that_would_be_too_large_goes_on_in_another_one(tmp_path: Path) -> None:
    directory = written(tmp_path, size=70)
    names = [file.name for file in files_in(manifest_in(directory)) if file.shard == "s1"]
    assert names == ["shard1-0001.ndjson", "shard1-0002.ndjson"]
    assert faults(directory) == []


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in written(tmp_path).iterdir()} == {0o600}


def test_a_file_has_its_name_once_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[set[str]] = []

    def note(number: int) -> None:
        synced.append({path.name for path in tmp_path.iterdir()})

    monkeypatch.setattr(os, "fsync", note)
    written(tmp_path, LINES[:4] + LINES[-1:])
    assert synced[0] == {".cluster.ndjson"}
    assert synced[1] == {"cluster.ndjson", ".shard1-0001.ndjson"}
    assert "manifest.json" not in synced[2]
    assert ".manifest.json" in synced[3]
    assert "manifest.json" in synced[-1]


# ------------------------------------------------------------------ what is noticed
def test_a_backup_without_a_manifest_was_broken_off(tmp_path: Path) -> None:
    with BackupWriter(tmp_path) as writer:
        for line in LINES[:-1]:
            writer.add(text_of(line))
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(DamagedBackupError, match="broken off"):
        manifest_in(tmp_path)
    with pytest.raises(DamagedBackupError, match="broken off"):
        manifest_in(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format":"other"}', '"x"'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DamagedBackupError, match=re.escape("manifest.json")):
        manifest_in(tmp_path)


def test_a_manifest_that_was_changed_does_not_fit_its_checksum(tmp_path: Path) -> None:
    manifest = written(tmp_path) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"keys": 2', '"keys": 3'))
    with pytest.raises(DamagedBackupError, match="does not fit its checksum"):
        manifest_in(tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    resealed(written(tmp_path), lambda manifest: manifest.update(version=2))
    with pytest.raises(DamagedBackupError, match="it is of version 2, and this command knows"):
        manifest_in(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "it is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes; expected"),
        (lambda path: path.write_bytes(path.read_bytes() + b"\n"), "bytes; expected"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"2")), "was changed"),
    ],
)
def test_a_damaged_file_is_named(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(written(tmp_path) / "shard1-0001.ndjson")
    [fault] = faults(tmp_path)
    assert fault.startswith("shard1-0001.ndjson: ")
    assert words in fault


def forged(directory: Path, content: bytes) -> None:
    """Change a file, and make the manifest fit it, except for its number of lines."""
    (directory / "shard1-0001.ndjson").write_bytes(content)
    digest = backup_files._digest_of(directory / "shard1-0001.ndjson")

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"][1] |= {"bytes": len(content), "sha256": digest}

    resealed(directory, change)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"key":"a"}\n{"key":"b"', "line 1 is no line of an export: it was cut off"),
        (b'{"key":"a"}\n[]\n', "line 2 is no line of an export: it is no JSON object"),
        (b'{"key":"a"}\nx\n', "line 2 is no line of an export: Expecting value"),
        (b'{"key":"a"}\n', "it has 1 lines; expected 2"),
    ],
)
def test_lines_are_read_also_where_the_checksum_fits(
    tmp_path: Path, content: bytes, words: str
) -> None:
    forged(written(tmp_path), content)
    [fault] = faults(tmp_path)
    assert words in fault


def test_another_number_of_values_is_noticed(tmp_path: Path) -> None:
    resealed(written(tmp_path), lambda manifest: manifest.update(sets=7))
    assert faults(tmp_path) == ["the files have 1 sets, and manifest.json says 7"]


# ------------------------------------------------------------------ the commands
def test_verify_says_what_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup_commands.verify(written(tmp_path), as_json=False)
    said = capsys.readouterr().out
    assert said.startswith("whole: 2 values of 2 keys, 1 counters, 1 sets, of 2 shards, as of 1970")
    backup_commands.verify(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)["values"] == 2


def test_verify_names_each_damaged_file_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = written(tmp_path)
    for name in ("shard1-0001.ndjson", "shard2-0001.ndjson"):
        (directory / name).unlink()
    with pytest.raises(Trouble, match="is damaged: 2 of its files") as trouble:
        backup_commands.verify(directory, as_json=False)
    assert trouble.value.code == 1
    said = capsys.readouterr().err
    assert "shard1-0001.ndjson: it is missing" in said
    assert "shard2-0001.ndjson: it is missing" in said


def test_a_damaged_backup_is_refused_before_any_node_is_asked(tmp_path: Path) -> None:
    directory = written(tmp_path)
    (directory / "shard2-0001.ndjson").write_bytes(b"")
    with pytest.raises(Trouble, match="is damaged"):
        backup_commands.restore(NOWHERE, directory, merge=True, w=None, as_json=False)


def test_a_backup_goes_into_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(Trouble, match="is not empty") as trouble:
        backup_commands.backup(NOWHERE, tmp_path, partial=False, as_json=False)
    assert trouble.value.code == 2


def test_a_backup_of_nodes_that_do_not_answer_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no node answered") as trouble:
        backup_commands.backup(NOWHERE, tmp_path / "new", partial=False, as_json=False)
    assert trouble.value.code == 5
    assert list((tmp_path / "new").iterdir()) == []


@dataclass
class FakeClient:
    """Tells of each import what the test says."""

    batches: list[Imported]
    lines: list[bytes] = field(default_factory=list)

    def import_lines(self, lines: Iterable[bytes], **options: object) -> Iterator[Imported]:
        self.lines = list(lines)
        yield from self.batches


def restored(
    directory: Path, monkeypatch: pytest.MonkeyPatch, *batches: Imported, as_json: bool = False
) -> list[bytes]:
    """Restore into nodes that answer so; return the lines that they were sent."""
    client = FakeClient(list(batches))
    monkeypatch.setattr(backup_commands, "session_of", lambda asked: nullcontext((client, None)))
    backup_commands.restore(NOWHERE, directory, merge=True, w=None, as_json=as_json)
    return client.lines


def test_a_restore_sends_all_files_in_their_order_and_sums_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = Imported(3, 2, 1, 0, ()), Imported(2, 1, 0, 1, ())
    lines = restored(written(tmp_path), monkeypatch, *batches)
    sent = [LINES[1], *LINES[3:5], *LINES[6:8]]
    assert lines == [text_of(line) + b"\n" for line in sent]
    said = capsys.readouterr().out
    assert said == "restored: 3 written, 1 were there already, 1 had expired, 0 failed\n"
    restored(tmp_path, monkeypatch, *batches, as_json=True)
    assert json.loads(capsys.readouterr().out)["written"] == 3


def test_a_line_that_fails_is_named_and_the_code_is_that_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = ImportFailure(4, "a", TooLarge("too large")), ImportFailure(5, "", BadRequest("no"))
    with pytest.raises(Trouble, match="2 lines could not be restored") as trouble:
        restored(written(tmp_path), monkeypatch, Imported(3, 1, 0, 0, failures))
    assert trouble.value.code == 2
    said = capsys.readouterr()
    assert "a: too large" in said.err
    assert "line 5: no" in said.err
    assert "1 written" in said.out


def test_a_restore_that_is_broken_off_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="run it again with --merge to go on") as trouble:
        backup_commands.restore(NOWHERE, written(tmp_path), merge=True, w=None, as_json=False)
    assert trouble.value.code == 5


def test_what_alone_was_not_reached_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head, last = {**HEAD, "unreached": ["n2"]}, {**LAST, "unchanged": False}
    lines = [text_of(line) for line in (head, *LINES[1:-1], last)]
    client = SimpleNamespace(export=lambda partial: lines)
    monkeypatch.setattr(backup_commands, "session_of", lambda asked: nullcontext((client, None)))
    backup_commands.backup(NOWHERE, tmp_path / "new", partial=True, as_json=False)
    said = capsys.readouterr()
    assert "n2 did not answer: what it alone has is not in the backup" in said.err
    assert "clients wrote meanwhile" in said.out
    assert faults(tmp_path / "new") == []
