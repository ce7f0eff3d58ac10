"""Every setting: name, unit, default, bounds.

A setting has one name.  DATA_DIR in the environment is --data-dir as a flag; where both are given
the flag counts, and an empty value is no value.  Contracts have names of their own for our address:
which of them is given tells what is to be spoken, where DIALECT does not.  Whatever is wrong raises
`BadSetting`, whose text is one line that names the setting, what was found and what was expected.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.kinds import (
    SWITCH,
    BadSetting,
    Kind,
    Setting,
    one_of,
    read_address,
    read_list,
    read_name,
    read_peers,
    read_view,
    seconds,
    whole,
)

MIB = 1024 * 1024
AN_ADDRESS = "an address host:port with a port from 1 to 65535"
AUTO = "auto"
ASG4_PORT, SHARD_VIEW_PORT = "8090", "8085"
ASG4_AND_MORE = "asg4,dynamo,peers"  # contracts whose routes do not collide
OWN_HOST = "localhost"  # of a node that is told nothing but its port
ADMIN_VIEW_BYTES_MAX = 16 * MIB  # it takes 8 MB, and refuses more in words of its own
DATA_VIEW_ADDRESS = "0.0.0.0:8081"  # its nodes learn from a view where they are


class HelpWanted(Exception):
    """The flags ask for the table of settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a node starts with, checked."""

    socket_address: str
    view: tuple[str, ...]
    shard_count: int | None  # None: one, or what the others of VIEW say
    address: str | None  # as keys_view and admin_view call it
    repl_factor: int | None
    node_identifier: str | None
    data_dir: Path
    durability: str
    cache_bytes_max: int
    value_bytes_max: int
    repair_every_s: float
    max_wait_s: float
    hold_replicated_ms: int
    enable_faults: bool
    uvloop: bool
    log_format: str
    dialect: tuple[str, ...]
    asg_replaced_word: str

    @property
    def host(self) -> str:
        """The host of our address, an IPv6 one without its brackets."""
        return self.socket_address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.socket_address.rpartition(":")[2])


# ------------------------------------------------------------------ the table


SETTINGS = (
    Setting("SOCKET_ADDRESS", Kind(read_address, AN_ADDRESS), "", None, "where nodes find us"),
    Setting(
        "ADDRESS",
        Kind(read_address, AN_ADDRESS),
        "",
        "",
        "the same, as keys_view and admin_view call it (where SOCKET_ADDRESS is not given)",
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
        "REPL_FACTOR",
        whole(1, 4096),
        "",
        "",
        "keys_view: how many nodes hold each key, instead of SHARD_COUNT",
    ),
    Setting(
        "NODE_IDENTIFIER",
        Kind(read_name, "a number, or a name of at most 64 letters, digits, dots and hyphens"),
        "",
        "",
        "data_view: which node of its views we are",
    ),
    Setting(
        "PORT",
        whole(1, 65535),
        "",
        "",
        "peers: the port of our address; its host is that of PEERS",
        stands_for="SOCKET_ADDRESS",
    ),
    Setting(
        "PEERS",
        Kind(read_peers, "URLs http://host:port with commas between them"),
        "",
        "",
        "peers: the other nodes, instead of VIEW; all hold all keys",
        stands_for="VIEW",
    ),
    Setting(
        "PINGFREQ", seconds(0.05, 3600), "seconds", "", "peers: REPAIR_EVERY_S", "REPAIR_EVERY_S"
    ),
    Setting("TIMEOUT", seconds(0, 60), "seconds", "", "peers: MAX_WAIT_S", "MAX_WAIT_S"),
    Setting(
        "DATA_DIR",
        Kind(Path, "a directory"),
        "",
        "",
        "where the data lives (default: ./data/<address>; data_view: ./data/node-<identifier>)",
    ),
    Setting(
        "DURABILITY",
        one_of(full="full", os="os"),
        "",
        "full",
        "full: flush every write; os: lose the last ones with the machine",
    ),
    Setting(
        "CACHE_BYTES_MAX", whole(MIB, 2**40), "bytes", str(64 * MIB), "memory for keys' values"
    ),
    Setting("VALUE_BYTES_MAX", whole(1, 16 * MIB), "bytes", str(MIB), "the largest value"),
    Setting("REPAIR_EVERY_S", seconds(0.05, 3600), "seconds", "3.0", "between two comparisons"),
    Setting("MAX_WAIT_S", seconds(0, 60), "seconds", "2.0", "how long a read may wait"),
    Setting("HOLD_REPLICATED_MS", whole(0, 60_000), "ms", "2000", "causal: longest hold; 0: none"),
    Setting("ENABLE_FAULTS", SWITCH, "", "0", "1: clients may cut this node off (/v1/faults)"),
    Setting("UVLOOP", SWITCH, "", "1", "0: run on asyncio's own event loop"),
    Setting("LOG_FORMAT", one_of(text="text", json="json"), "", "text", "lines for people or not"),
    Setting(
        "DIALECT",
        Kind(read_list, "names of dialects with commas between them"),
        "",
        AUTO,
        "the HTTP contracts spoken beside the native one; auto: by the settings that are given",
    ),
    Setting(
        "ASG_REPLACED_WORD",
        one_of(replaced="replaced", updated="updated"),
        "",
        "replaced",
        "what asg4 calls a write over a value",
    ),
)
BY_FLAG = {setting.flag: setting for setting in SETTINGS}


# ------------------------------------------------------------------ reading


def read(environ: Mapping[str, str], argv: Sequence[str]) -> Settings:
    """The settings of these flags and, where they say nothing, this environment.

    Raises `BadSetting`, or `HelpWanted` when --help is among the flags.
    """
    flags = _flags(argv)
    texts = {s.name: flags.get(s.name) or environ.get(s.name, "").strip() for s in SETTINGS}
    if texts["DIALECT"] in ("", AUTO):
        texts["DIALECT"] = fingerprint(texts)
    texts = {**texts, **_told_by_peers(texts)}
    texts = {**texts, **_addresses(texts)}
    if "admin_view" in texts["DIALECT"] and not texts["VALUE_BYTES_MAX"]:
        texts["VALUE_BYTES_MAX"] = str(ADMIN_VIEW_BYTES_MAX)
    values = {s.name.lower(): _value(s, texts[s.name]) for s in SETTINGS if not s.stands_for}
    address = values["socket_address"]
    if not texts["VIEW"]:
        values["view"] = (address,)
    settings = Settings(**values)
    if "data_view" in settings.dialect and settings.node_identifier is None:
        raise BadSetting("NODE_IDENTIFIER", "", "which node of its views we are")
    if not texts["DATA_DIR"]:
        settings = replace(settings, data_dir=Path("data", _folder_of(settings)))
    if "keys_view" in settings.dialect:
        settings = _with_shards(settings)
    _check_view(settings, texts)
    return settings


def fingerprint(texts: Mapping[str, str]) -> str:
    """The dialects whose settings these are, by their names; asg4 where they say nothing."""
    if _has_peers(texts):
        return "peers"
    if texts["SOCKET_ADDRESS"]:
        _, _, port = texts["SOCKET_ADDRESS"].rpartition(":")
        by_port = {SHARD_VIEW_PORT: "shard_view", ASG4_PORT: ASG4_AND_MORE}
        return by_port.get(port, "asg4")
    if texts["ADDRESS"]:
        return "keys_view" if texts["VIEW"] else "admin_view"
    return "data_view" if texts["NODE_IDENTIFIER"] else "asg4"


def _has_peers(texts: Mapping[str, str]) -> bool:
    """Whether a node is told its place in the words of `peers`: PORT is many programs' word, so it
    counts only where nothing else says what our address is."""
    is_placed = texts["SOCKET_ADDRESS"] or texts["ADDRESS"] or texts["NODE_IDENTIFIER"]
    return not texts["VIEW"] and bool(texts["PEERS"] or (texts["PORT"] and not is_placed))


def _told_by_peers(texts: Mapping[str, str]) -> dict[str, str]:
    """What PORT, PEERS, PINGFREQ and TIMEOUT stand for; the settings themselves count more."""
    if not _has_peers(texts):
        return {}
    told = {s.name: _value(s, texts[s.name]) for s in SETTINGS if s.stands_for}
    peers = told["PEERS"] or ()
    own = texts["SOCKET_ADDRESS"] or texts["ADDRESS"]
    if not own:
        hosts = {peer.rpartition(":")[0] for peer in peers} or {OWN_HOST}
        if len(hosts) > 1:
            expected = "nodes of one host, or SOCKET_ADDRESS beside them"
            raise BadSetting("PEERS", texts["PEERS"], expected)
        if told["PORT"] is None:
            raise BadSetting("PORT", "", "our port, as the others name it")
        own = f"{hosts.pop()}:{told['PORT']}"
    return {
        "SOCKET_ADDRESS": own,
        "VIEW": ",".join(sorted({own, *peers}, key=_by_port)),
        "SHARD_COUNT": texts["SHARD_COUNT"] or "1",
        "REPAIR_EVERY_S": texts["REPAIR_EVERY_S"] or texts["PINGFREQ"],
        "MAX_WAIT_S": texts["MAX_WAIT_S"] or texts["TIMEOUT"],
    }


def _by_port(address: str) -> tuple[str, str]:
    """All nodes put the same addresses into the same order."""
    host, _, port = address.rpartition(":")
    return host, port.zfill(5)


def _addresses(texts: Mapping[str, str]) -> dict[str, str]:
    """Our address by whatever name; where it has the first one, the second says nothing."""
    if texts["SOCKET_ADDRESS"]:
        return {"ADDRESS": ""}
    if texts["ADDRESS"]:
        _value(BY_FLAG["--address"], texts["ADDRESS"])  # what is wrong is said of this name
        return {"SOCKET_ADDRESS": texts["ADDRESS"]}
    return {"SOCKET_ADDRESS": DATA_VIEW_ADDRESS} if texts["NODE_IDENTIFIER"] else {}


def _folder_of(settings: Settings) -> str:
    """Named as what stays the same of a node."""
    if "data_view" in settings.dialect:
        return f"node-{settings.node_identifier}"
    return re.sub(r"[\[\]:]", "_", settings.socket_address)


def _with_shards(settings: Settings) -> Settings:
    """REPL_FACTOR nodes or more form a shard; how many shards that makes."""
    factor, nodes = settings.repl_factor, len(settings.view)
    if factor is None:
        return settings
    if settings.shard_count is not None:
        raise BadSetting("REPL_FACTOR", str(factor), "no SHARD_COUNT beside it")
    if factor > nodes:
        raise BadSetting("REPL_FACTOR", str(factor), f"at most {nodes}, as many as nodes in VIEW")
    return replace(settings, shard_count=nodes // factor)


def _flags(argv: Sequence[str]) -> dict[str, str]:
    """--name value or --name=value, by the setting's name."""
    found: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word in ("--help", "-h"):
            raise HelpWanted
        flag, equals, text = word.partition("=")
        setting = BY_FLAG.get(flag)
        if setting is None:
            raise BadSetting(flag, text, "one of the flags that --help lists")
        text = text if equals else next(words, "")
        if not text:
            raise BadSetting(flag, text, "a value after the flag")
        found[setting.name] = text
    return found


def _value(setting: Setting, text: str) -> Any:
    text = text or setting.default or ""
    if not text:
        if setting.default is None:
            raise BadSetting(setting.name, text, setting.kind.expected)
        return None
    try:
        return setting.kind.read(text)
    except ValueError:
        raise BadSetting(setting.name, text, setting.kind.expected) from None


def _check_view(settings: Settings, texts: Mapping[str, str]) -> None:
    view, address = settings.view, settings.socket_address
    if address not in view and "keys_view" not in settings.dialect:  # there we wait to be named
        raise BadSetting("VIEW", texts["VIEW"], f"a list with this node, {address}, in it")
    twice = sorted({node for node in view if view.count(node) > 1})
    if twice:
        raise BadSetting("VIEW", texts["VIEW"], f"every address once, not {', '.join(twice)} again")
    if settings.shard_count is not None and settings.shard_count > len(view):
        expected = f"at most {len(view)}, as many as nodes in VIEW"
        raise BadSetting("SHARD_COUNT", str(settings.shard_count), expected)


def help_text() -> str:
    """The table of settings, for people."""
    lines = ["python -m node: one node of a coterie.  Settings (environment, or flag):", ""]
    for s in SETTINGS:
        default = "required" if s.default is None else s.default and f"default {s.default}"
        notes = ", ".join(filter(None, (s.kind.expected, s.unit, default)))
        lines.append(f"  {s.name:<18} {s.flag:<20} {s.meaning}")
        lines.append(f"  {'':<18} {'':<20}   [{notes}]")
    return "\n".join(lines)
