"""A backup: a directory of plain files, of which the manifest is written last.

    cluster.ndjson          the policies
    shard1-0001.ndjson ...  the values, counters and sets of a shard, in files of bounded size
    manifest.json           what the backup is, and of each file its lines, bytes and SHA-256

The lines are those of `GET /v1/export`.  A file is written under a name that begins with a dot,
brought to the disk, and renamed.  So a directory without a manifest is no backup, whatever else is
in it; and a manifest that was changed does not fit its own checksum.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

MANIFEST = "manifest.json"
POLICIES_FILE = "cluster"
FORMAT, VERSION = "coterie-backup", 1
FILE_BYTES_MAX = 256 * 1024 * 1024  # the next line begins another file
CHUNK_BYTES = 1024 * 1024
KINDS = {"key": "values", "counter": "counters", "set": "sets"}
NO_MANIFEST = f"it has no {MANIFEST}: it is no backup, or one that was broken off"


class DamagedBackupError(Exception):
    """A directory that is no whole backup; the words say what is wrong with it."""


@dataclass(frozen=True)
class BackupFile:
    """One file of a backup; `shard` is empty for that of the policies."""

    name: str
    shard: str
    lines: int
    bytes: int
    sha256: str


@dataclass
class Section:
    """The lines of one shard, or the policies, on their way into files."""

    stem: str
    shard: str
    files: int = 0
    file: IO[bytes] | None = None
    lines: int = 0
    size: int = 0
    hash: Any = field(default_factory=hashlib.sha256)


class BackupWriter:
    """Writes the lines of an export into an empty directory.  Raises OSError, and ValueError for a
    line that is none of an export."""

    def __init__(self, directory: Path, file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self._directory, self._bytes_max = directory, file_bytes_max
        self._section = Section(POLICIES_FILE, "")
        self._shards = 0
        self.files: list[BackupFile] = []
        self.head: Mapping[str, Any] = {}
        self.last: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the file under way, if the backup is broken off."""
        if self._section.file is not None:
            self._section.file.close()
            Path(self._section.file.name).unlink()

    @property
    def lines(self) -> int:
        """How many lines are written so far."""
        return self._section.lines + sum(file.lines for file in self.files)

    def add(self, line: bytes) -> None:
        """Take the next line."""
        said = object_in(line)
        if "export" in said:
            self.head = said
        elif "shard" in said:
            self._end_file()
            self._shards += 1
            self._section = Section(f"shard{self._shards}", str(said["shard"]))
        elif "done" in said:
            self.last = said
        else:
            self._write(line + b"\n")

    def _write(self, line: bytes) -> None:
        section = self._section
        if section.file is not None and section.size + len(line) > self._bytes_max:
            self._end_file()
        if section.file is None:
            section.files += 1
            section.file = _opened(self._directory / f".{self._name()}")
        section.file.write(line)
        section.hash.update(line)
        section.lines, section.size = section.lines + 1, section.size + len(line)

    def _name(self) -> str:
        section = self._section
        number = "" if section.stem == POLICIES_FILE else f"-{section.files:04d}"
        return f"{section.stem}{number}.ndjson"

    def _end_file(self) -> None:
        """Bring the file under way to the disk, and give it its name."""
        section, name = self._section, self._name()
        if section.file is None:
            return
        _close(section.file, self._directory / name)
        digest = section.hash.hexdigest()
        self.files.append(BackupFile(name, section.shard, section.lines, section.size, digest))
        section.file, section.lines, section.size = None, 0, 0
        section.hash = hashlib.sha256()

    def end(self, ended_at: float) -> dict[str, Any]:
        """Write the manifest, and return it: the backup is whole from then on."""
        self._end_file()
        _sync(self._directory)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            **{name: self.head[name] for name in ("view", "shards", "began_at", "unreached")},
            "ended_at": ended_at,
            **{name: self.last[name] for name in ("unchanged", "keys", *KINDS.values())},
            "files": [asdict(file) for file in self.files],
        }
        manifest["sha256"] = checksum_of(manifest)
        with _opened(self._directory / f".{MANIFEST}") as file:
            file.write(json.dumps(manifest, indent=1).encode() + b"\n")
            _close(file, self._directory / MANIFEST)
        _sync(self._directory)
        return manifest


def _opened(path: Path) -> IO[bytes]:
    """Open a file for its user alone."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _close(file: IO[bytes], path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    Path(file.name).rename(path)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def checksum_of(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of all that a manifest says beside it."""
    said = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def object_in(line: bytes) -> Mapping[str, Any]:
    """Return what a line says; raise ValueError."""
    said = json.loads(line)
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    return said


# ------------------------------------------------------------------ reading
def manifest_in(directory: Path) -> dict[str, Any]:
    """Return the manifest of a backup, if it is one of ours and is whole.

    Raises DamagedBackupError.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedBackupError(NO_MANIFEST) from None
    except (OSError, ValueError) as error:
        raise DamagedBackupError(f"its {MANIFEST} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedBackupError(f"its {MANIFEST} is none of a backup")
    if manifest.get("version") != VERSION:
        version = manifest.get("version")
        words = f"it is of version {version!r}, and this command knows version {VERSION}"
        raise DamagedBackupError(words)
    if manifest.get("sha256") != checksum_of(manifest):
        raise DamagedBackupError(f"its {MANIFEST} was changed: it does not fit its checksum")
    return manifest


def files_in(manifest: Mapping[str, Any]) -> list[BackupFile]:
    return [BackupFile(**file) for file in manifest["files"]]


def faults_in(directory: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Read all files; yield what is wrong with each, and with their number of values."""
    counts = dict.fromkeys(KINDS.values(), 0)
    is_whole = True
    for file in files_in(manifest):
        for fault in _faults_of(directory, file, counts):
            is_whole = False
            yield f"{file.name}: {fault}"
    for kind, count in counts.items():
        if is_whole and manifest[kind] != count:
            yield f"the files have {count} {kind}, and {MANIFEST} says {manifest[kind]}"


def _faults_of(directory: Path, file: BackupFile, counts: dict[str, int]) -> Iterator[str]:
    path = directory / file.name
    try:
        size = path.stat().st_size
        if size != file.bytes:
            yield f"it has {size} bytes; expected {file.bytes}"
            return
        if _digest_of(path) != file.sha256:
            yield "its content was changed: it does not fit its checksum"
            return
        lines = 0
        for line in lines_of(path):
            lines += 1
            kind = next((KINDS[each] for each in KINDS if each in object_in(line)), None)
            if kind is not None:
                counts[kind] += 1
        if lines != file.lines:
            yield f"it has {lines} lines; expected {file.lines}"
    except FileNotFoundError:
        yield "it is missing"
    except OSError as error:
        yield f"it cannot be read: {error.strerror}"
    except ValueError as error:
        yield f"line {lines} is no line of an export: {error}"


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; raise ValueError for one that has no end."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                raise ValueError("it was cut off")
            yield line
