"""What `coterie backup` and `coterie restore` do, and what they print.

Progress goes to standard error; the summary, or with `--json` a document, to standard output.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.cli.backup_files import (
    BackupWriter,
    DamagedBackupError,
    faults_in,
    files_in,
    lines_of,
    manifest_in,
)
from cluster.cli.client_session import Asked, code_of, session_of
from cluster.cli.data_commands import level_of
from cluster.engines.console import Report, say
from cluster.engines.topology import CONFLICT, FAILURE, USAGE, Trouble
from coterie import CoterieError, Imported, ImportFailure

TOLD_EVERY_S = 2.0
FAILURES_SHOWN = 10
HINT = "--merge adds to what there is; give it to go on with a restore that was broken off"


@dataclass
class ProgressNotes:
    """Tells on standard error, now and then, how far a command has come."""

    report: Report
    what: str
    next_at: float = field(default_factory=lambda: time.monotonic() + TOLD_EVERY_S)

    def reach(self, number: int) -> None:
        if time.monotonic() >= self.next_at:
            self.report.note(f"{number} {self.what}")
            self.next_at = time.monotonic() + TOLD_EVERY_S


# ------------------------------------------------------------------ backup
def backup(asked: Asked, directory: Path, partial: bool, as_json: bool) -> None:
    """Write a backup into a directory that is empty or not there yet."""
    report = Report()
    _make_empty(directory)
    told = ProgressNotes(report, "lines written")
    try:
        with BackupWriter(directory) as writer:
            with session_of(asked) as (kv, _):
                for line in kv.export(partial=partial):
                    writer.add(line)
                    told.reach(writer.lines)
            manifest = writer.end(time.time())
    except OSError as error:
        words = f"the backup cannot be written to {directory}: {error.strerror or error}"
        raise Trouble(words, FAILURE) from error
    for node in manifest["unreached"]:
        report.note(f"{node} did not answer: what it alone has is not in the backup")
    _say_manifest("written", directory, manifest, as_json)


def _make_empty(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_empty = not any(directory.iterdir())
    except OSError as error:
        raise Trouble(f"{directory} cannot be written to: {error.strerror}", USAGE) from error
    if not is_empty:
        raise Trouble(f"{directory} is not empty: give a new directory for each backup", USAGE)


# ------------------------------------------------------------------ verify
def verify(directory: Path, as_json: bool) -> None:
    """Say whether a backup is whole; end with 1 if it is not."""
    manifest = _whole(directory)
    _say_manifest("whole", directory, manifest, as_json)


def _whole(directory: Path) -> dict[str, Any]:
    """Read all of a backup; return its manifest if nothing is wrong with it."""
    report = Report()
    try:
        manifest = manifest_in(directory)
    except DamagedBackupError as error:
        raise Trouble(f"{directory}: {error}", FAILURE) from error
    faults = list(faults_in(directory, manifest))
    for fault in faults:
        report.error(fault)
    if faults:
        words = f"{directory} is damaged: {len(faults)} of its files are not as they were written"
        raise Trouble(words, FAILURE)
    return manifest


def _say_manifest(done: str, directory: Path, manifest: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        said = {name: value for name, value in manifest.items() if name != "files"}
        say(json.dumps({"directory": str(directory), **said}))
        return
    began = datetime.fromtimestamp(manifest["began_at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    things = [f"{manifest[kind]} {kind}" for kind in ("values", "counters", "sets")]
    what = f"{things[0]} of {manifest['keys']} keys, {', '.join(things[1:])}"
    shards = len(manifest["shards"])
    say(f"{done}: {what}, of {shards} shards, as of {began}")
    if not manifest["unchanged"]:
        say("clients wrote meanwhile: of those writes some may be in it, and some not")


# ------------------------------------------------------------------ restore
def restore(asked: Asked, directory: Path, merge: bool, w: str | None, as_json: bool) -> None:
    """Check a backup, and write all that it has; end with the code of the first line that
    failed."""
    report = Report()
    with report.phase(f"{directory} is read"):
        manifest = _whole(directory)
    sums, failures = dict.fromkeys(("written", "there", "expired"), 0), list[ImportFailure]()
    told = ProgressNotes(report, f"of {_lines_in(manifest)} lines restored")
    with _told_what_helps(), session_of(asked) as (kv, _):
        lines = _all_lines(directory, manifest)
        for batch in kv.import_lines(lines, merge=merge, w=level_of(w)):
            _count(batch, sums, failures)
            told.reach(sum(sums.values()) + len(failures))
    for failure in failures[:FAILURES_SHOWN]:
        report.error(f"{failure.name or f'line {failure.line}'}: {failure.error}")
    if as_json:
        say(json.dumps({**sums, "failed": len(failures)}))
    else:
        done = [f"{sums['written']} written", f"{sums['there']} were there already"]
        done += [f"{sums['expired']} had expired", f"{len(failures)} failed"]
        say(f"restored: {', '.join(done)}")
    if failures:
        words = f"{len(failures)} lines could not be restored"
        raise Trouble(words, code_of(failures[0].error))


@contextmanager
def _told_what_helps() -> Iterator[None]:
    try:
        yield
    except Trouble as trouble:
        if trouble.code == CONFLICT:
            raise Trouble(f"{trouble}; {HINT}", CONFLICT) from trouble
        if isinstance(trouble.__cause__, CoterieError):
            again = "run it again with --merge to go on"
            raise Trouble(f"{trouble}; the restore was broken off: {again}", trouble.code) from None
        raise


def _lines_in(manifest: Mapping[str, Any]) -> int:
    return sum(file.lines for file in files_in(manifest))


def _all_lines(directory: Path, manifest: Mapping[str, Any]) -> Iterator[bytes]:
    for file in files_in(manifest):
        yield from lines_of(directory / file.name)


def _count(batch: Imported, sums: dict[str, int], failures: list[ImportFailure]) -> None:
    for name in sums:
        sums[name] += getattr(batch, name)
    failures += batch.failures
