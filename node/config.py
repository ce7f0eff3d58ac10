"""Every setting: name, unit, default, bounds.

A setting has one name.  DATA_DIR in the environment is --data-dir as a flag; the flag counts if
both are given, and an empty value counts as none.  Contracts have settings of their own (their
entries in `node/api/dialects`).  If DIALECT is not given, these settings decide which contracts the
node speaks.  A wrong value raises `BadSetting`, whose text is one line: the setting, what was
found, and what was expected.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from node.addresses import AN_ADDRESS, canonical
from node.api.dialects import listing
from node.api.entry import Entry, Given
from node.security import settings as security
from node.security.settings import Security
from node.setting_types import (
    HIDDEN,
    ORIGINS,
    SWITCH,
    BadSetting,
    Kind,
    Setting,
    one_of,
    read_list,
    read_view,
    seconds,
    whole,
)

MIB = 1024 * 1024
AUTO = "auto"
NO_CONTRACT = ","  # a list without names


class HelpWanted(Exception):
    """The flags ask for the table of settings."""


class Settings(NamedTuple):
    """What a node starts with, checked."""

    socket_address: str
    view: tuple[str, ...]
    shard_count: int | None  # None: one, or what the other nodes of VIEW say
    data_dir: Path
    durability: str
    cache_bytes_max: int
    value_bytes_max: int
    repair_every_s: float
    max_wait_s: float
    watchers_max: int
    requests_per_s_max: int
    enable_faults: bool
    cors_origins: tuple[str, ...] | None
    uvloop: bool
    log_format: str
    dialect: tuple[str, ...]
    security: Security
    own: Mapping[str, Any]  # the contracts' own settings, by their names

    @property
    def spoken(self) -> list[Entry]:
        """The entries of the contracts in DIALECT.  Raises BadSetting."""
        return listing.spoken(self.dialect)

    @property
    def node_name(self) -> str:
        """The name by which other nodes call this one: its address, or one that a contract says."""
        names = (entry.node_name(self) for entry in self.known)
        return next(filter(None, names), self.socket_address)

    @property
    def hold_s(self) -> float:
        """How long this node may hide a version that arrived before its dependencies."""
        return max((entry.hold_s(self) for entry in self.known), default=0.0)

    @property
    def known(self) -> list[Entry]:
        """The entries of those contracts in DIALECT that exist."""
        return [listing.BY_NAME[name] for name in self.dialect if name in listing.BY_NAME]

    @property
    def host(self) -> str:
        """The host of this node's address, an IPv6 one without its brackets."""
        return self.socket_address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.socket_address.rpartition(":")[2])


# ------------------------------------------------------------------ the table


GENERAL = (
    Setting(
        "SOCKET_ADDRESS", Kind(canonical, AN_ADDRESS), "", None, "where nodes find us", places=True
    ),
    Setting(
        "VIEW",
        Kind(read_view, "addresses host:port with commas between them"),
        "",
        "",
        "the addresses of all nodes, ours too (default: ours alone)",
    ),
    Setting(
        "SHARD_COUNT",
        whole(1, 256),
        "",
        "",
        "how many shards the nodes form (default: join the others of VIEW; 1 if all are new)",
    ),
    Setting(
        "DATA_DIR",
        Kind(Path, "a directory"),
        "",
        "",
        "where the data lives (default: ./data/<address>, or ./data/<name> where nodes have names)",
    ),
    Setting(
        "DURABILITY",
        one_of(full="full", os="os"),
        "",
        "full",
        "full: flush every write; os: lose the last ones with the machine",
    ),
    Setting(
        "CACHE_BYTES_MAX", whole(MIB, 2**40), "bytes", str(64 * MIB), "memory for keys at hand"
    ),
    Setting("VALUE_BYTES_MAX", whole(1, 16 * MIB), "bytes", str(MIB), "largest value, as stored"),
    Setting("REPAIR_EVERY_S", seconds(0.05, 3600), "seconds", "3.0", "between two comparisons"),
    Setting("MAX_WAIT_S", seconds(0, 60), "seconds", "2.0", "how long a read may wait"),
    Setting("WATCHERS_MAX", whole(1, 10_000), "", "64", "how many watches may be open at once"),
    Setting(
        "REQUESTS_PER_S_MAX",
        whole(0, 1_000_000),
        "requests a second",
        "0",
        "how often one client may ask; more are refused with 429 (0: no bound)",
    ),
    Setting("ENABLE_FAULTS", SWITCH, "", "0", "1: clients may cut this node off (/v1/faults)"),
    Setting("CORS_ORIGINS", ORIGINS, "", "", "pages that may write, beside the node's own"),
    Setting("UVLOOP", SWITCH, "", "1", "0: run on asyncio's own event loop"),
    Setting("LOG_FORMAT", one_of(text="text", json="json"), "", "text", "lines for people or not"),
    Setting(
        "DIALECT",
        Kind(read_list, "names of dialects with commas between them"),
        "",
        AUTO,
        "the HTTP contracts spoken beside the native one; auto: by the settings that are given",
    ),
)
SETTINGS = (*GENERAL, *security.SETTINGS, *listing.SETTINGS)
BY_FLAG = {setting.flag: setting for setting in SETTINGS}


# ------------------------------------------------------------------ reading


def read(environ: Mapping[str, str], argv: Sequence[str]) -> Settings:
    """Return the settings of these flags and, for the others, of this environment.

    Raises `BadSetting`, or `HelpWanted` when --help is among the flags.
    """
    flags = _flags(argv)
    texts = {s.name: flags.get(s.name) or environ.get(s.name, "").strip() for s in SETTINGS}
    given = Given(texts, SETTINGS)
    if texts["DIALECT"] in ("", AUTO) and texts["SECURE"] == "1":
        texts["DIALECT"] = NO_CONTRACT
    elif texts["DIALECT"] in ("", AUTO):
        texts["DIALECT"] = ",".join(listing.recognized_by(given))
    for entry in listing.ENTRIES:
        texts |= entry.translated(given)
    settings = _settings(texts)
    for entry in settings.known:
        settings = entry.checked(settings)
    if not texts["DATA_DIR"]:
        folder = re.sub(r"[\[\]:]", "_", settings.node_name)
        settings = settings._replace(data_dir=Path("data", folder))
    _check_view(settings, texts)
    return settings


def _settings(texts: dict[str, str]) -> Settings:
    """Read each setting by itself."""
    names = read_list(texts["DIALECT"])
    for entry in (listing.BY_NAME[name] for name in names if name in listing.BY_NAME):
        texts |= {name: text for name, text in entry.defaults().items() if not texts[name]}
    values = {s.name.lower(): s.read(texts[s.name]) for s in GENERAL}
    own = {s.name: s.read(texts[s.name]) for s in listing.SETTINGS if not s.stands_for}
    values["view"] = values["view"] or (values["socket_address"],)
    return Settings(**values, security=security.read(texts), own=own)


def _flags(argv: Sequence[str]) -> dict[str, str]:
    """Read --name value or --name=value into texts by the setting's name."""
    found: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word in ("--help", "-h"):
            raise HelpWanted
        flag, equals, text = word.partition("=")
        setting = BY_FLAG.get(flag)
        if setting is None:
            raise BadSetting(flag, text, "one of the flags that --help lists")
        if setting.is_secret:
            raise BadSetting(flag, HIDDEN, "no such flag, since all users of a machine see flags")
        text = text if equals else next(words, "")
        if not text:
            raise BadSetting(flag, text, "a value after the flag")
        found[setting.name] = text
    return found


def _check_view(settings: Settings, texts: Mapping[str, str]) -> None:
    view, address = settings.view, settings.socket_address
    if address not in view and not any(entry.waits_to_be_named for entry in settings.known):
        raise BadSetting("VIEW", texts["VIEW"], f"a list with this node, {address}, in it")
    twice = sorted({node for node in view if view.count(node) > 1})
    if twice:
        raise BadSetting("VIEW", texts["VIEW"], f"every address once, not {', '.join(twice)} again")
    if settings.shard_count is not None and settings.shard_count > len(view):
        expected = f"at most {len(view)}, as many as nodes in VIEW"
        raise BadSetting("SHARD_COUNT", str(settings.shard_count), expected)


def help_text() -> str:
    """Return the table of settings, for people."""
    lines = ["python -m node: one node of a coterie.  Settings (environment, or flag):", ""]
    for s in SETTINGS:
        default = "required" if s.default is None else s.default and f"default {s.default}"
        notes = ", ".join(filter(None, (s.kind.expected, s.unit, default)))
        flag = "" if s.is_secret else s.flag
        lines.append(f"  {s.name:<18} {flag:<20} {s.meaning}")
        lines.append(f"  {'':<18} {'':<20}   [{notes}]")
    return "\n".join(lines)
