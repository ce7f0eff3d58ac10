"""A small Debian with Python, as an archive: the base of a node's image where no registry answers.

Its packages come from this host's own sources (apt).  The certificates and the pip configuration of
the host go into the archive, never into the repository.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cluster.engines.topology import UNAVAILABLE, Trouble

RELEASE = "bookworm"
PACKAGES = ("python3", "python3-venv", "python3-pip", "ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
BOOTSTRAP_TIMEOUT_S = 900
LINES_SHOWN = 20
CHUNK_BYTES = 1 << 20
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
WITHOUT_IMAGE = "take ENGINE=process, which needs no image"


def base_archive() -> Iterator[bytes]:
    """Yield a tar archive of the system; its files on this disk are gone when it is read."""
    with tempfile.TemporaryDirectory(prefix="coterie-base-") as place:
        root = Path(place) / "root"
        _bootstrap(root)
        _equip(root)
        yield from _packed(root)


def _bootstrap(root: Path) -> None:
    if os.geteuid() != 0:
        raise Trouble(
            f"making a base image needs root; run `make image` as root, or {WITHOUT_IMAGE}"
        )
    mirror = _mirror()
    if shutil.which("debootstrap") is None:
        _run(["apt-get", "update"])
        _run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"])
    including = f"--include={','.join(PACKAGES)}"
    _run(["debootstrap", "--variant=minbase", including, RELEASE, str(root), mirror])


def _run(command: list[str]) -> None:
    """Run a command to its end; if it fails, name it and show its last lines."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BOOTSTRAP_TIMEOUT_S,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Trouble(
            f"{command[0]} did not work ({problem}); {WITHOUT_IMAGE}", UNAVAILABLE
        ) from None
    if done.returncode != 0:
        last = done.stdout.decode(errors="replace").splitlines()[-LINES_SHOWN:]
        sentence = f"{command[0]} ended with {done.returncode}; see below, or {WITHOUT_IMAGE}"
        raise Trouble("\n".join([sentence, *last]), UNAVAILABLE)


def _mirror() -> str:
    """Return the URI from which this host gets Debian's packages of the release."""
    named = os.environ.get("DEBIAN_MIRROR", "")
    if named:
        return named
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    texts = {place: place.read_text() for place in places if place.is_file()}
    for place, text in texts.items():
        uri = mirror_in_deb822(text) if place.suffix == ".sources" else mirror_in_list(text)
        if uri and place.suffix in (".sources", ".list"):
            return uri
    raise Trouble(
        f"no Debian mirror of {RELEASE} in the apt sources; name one with DEBIAN_MIRROR=,"
        f" or {WITHOUT_IMAGE}"
    )


def mirror_in_deb822(text: str) -> str | None:
    """Return the first URI of the first stanza that has the release itself."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(line.split(":", 1) for line in lines if re.match(r"\w[\w-]*:", line))
        is_on = "deb" in fields.get("Types", "").split() and "no" not in fields.get("Enabled", "")
        if is_on and RELEASE in fields.get("Suites", "").split():
            return fields["URIs"].split()[0]
    return None


def mirror_in_list(text: str) -> str | None:
    """Return the URI of the first one-line source that has the release itself."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*]", "", line).split()
        if len(words) >= 3 and words[0] == "deb" and words[2] == RELEASE:
            return words[1]
    return None


def _equip(root: Path) -> None:
    """Give the system the host's certificates and pip configuration, and remove its caches."""
    if Path(BUNDLE).exists():
        shutil.copyfile(BUNDLE, root / BUNDLE.lstrip("/"))
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    (root / "etc/pip.conf").write_text(pip_configuration(listed))
    for cache in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
        shutil.rmtree(root / cache, ignore_errors=True)
        (root / cache).mkdir(parents=True)


def pip_configuration(listed: str) -> str:
    """Return the settings of `pip config list` that hold elsewhere too: no paths of this host."""
    settings = {"cert": BUNDLE}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        word = key.rpartition(".")[2]
        if word in PIP_KEYS:
            settings[word.removeprefix("default-")] = value.strip("'\"").replace("\\n", "\n    ")
    lines = [f"{word} = {value}" for word, value in settings.items()]
    return "\n".join(["[global]", *lines, ""])


def _packed(root: Path) -> Iterator[bytes]:
    with subprocess.Popen(
        ["tar", "-C", str(root), "--numeric-owner", "-c", "."], stdout=subprocess.PIPE
    ) as tar:
        assert tar.stdout is not None
        while chunk := tar.stdout.read(CHUNK_BYTES):
            yield chunk
