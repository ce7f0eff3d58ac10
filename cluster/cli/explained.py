"""An explanation of a key as tables and sentences.

Pure: it takes the document of `GET /v1/explain/{key}` and the names of addresses, and reads no
clock: ages are counted from the instant of the document.  The versions are v1, v2 and so on, the
latest first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cluster.cli.explained_words import age_of, counted, listed, sentences, versions_at
from cluster.engines.console import table

Json = Mapping[str, Any]
Names = Mapping[str, str]
UNKNOWN, NONE = "?", "-"


def explained(document: Json, names: Names) -> str:
    """Return the text: where the key is, its replicas and versions, what is under way, the last
    events, and what all of that means."""
    named = {**renamed(document, names), "key": document["key"]}
    labels = {version["id"]: f"v{n}" for n, version in enumerate(named["versions"], 1)}
    parts = (
        _heading(named),
        (_replicas(named, labels),),
        (_versions(named, labels),) if labels else (),
        (_events(named),) if named["events"] else (),
        sentences(named, labels),
    )
    return "\n\n".join(filter(None, ("\n".join(lines) for lines in parts)))


def renamed(part: Any, names: Names) -> Any:
    """Return a document with names in place of addresses."""
    if isinstance(part, Mapping):
        return {name: renamed(each, names) for name, each in part.items()}
    if isinstance(part, list):
        return [renamed(each, names) for each in part]
    return names.get(part, part) if isinstance(part, str) else part


def with_names(text: str, names: Names) -> str:
    """Return a sentence with names in place of addresses."""
    for address in sorted(names, key=len, reverse=True):
        text = text.replace(address, names[address])
    return text


def _heading(document: Json) -> Iterator[str]:
    policy = document["policy"]
    keys = f"of keys that begin with {policy['prefix']}" if policy["prefix"] else "of all keys"
    owners = listed(document["owners"])
    yield f"{document['key']}: slot {document['slot']}, shard {document['shard']}, owners {owners}"
    yield (
        f"policy {keys}: merge {policy['merge']}, blind {policy['blind']}, "
        f"w {policy['w']}, r {policy['r']}"
    )


def _replicas(document: Json, labels: Mapping[str, str]) -> str:
    heads = ["REPLICA", "STATE", "SHOWS", "ALSO HOLDS", "LACKS"]
    has_token = any("covers_token" in each for each in document["replicas"])
    rows = [_replica(each, labels, has_token) for each in document["replicas"]]
    return table([*heads, *(["TOKEN"] if has_token else [])], rows)


def _replica(replica: Json, labels: Mapping[str, str], has_token: bool) -> Sequence[str]:
    name = replica["node"] + ("" if replica["owner"] else " (leaving)")
    if not replica["reached"]:
        return [name, replica["reason"], *([UNKNOWN] * (4 if has_token else 3))]
    state = "damaged" if replica["damaged"] else "whole" if replica["whole"] else "in part"
    also = (
        f"{labels[each['id']]} ({each['state']})"
        for each in replica["versions"]
        if each["state"] not in ("shown", "replaced", "lacking")
    )
    lacks = sum(each["writes"] for each in replica["lacks"])
    cells = [
        name,
        state,
        " ".join(versions_at(replica, labels, "shown")) or NONE,
        " ".join(also) or NONE,
        counted(lacks, "write") if lacks else NONE,
    ]
    return [*cells, *(["covered" if replica["covers_token"] else "ahead"] if has_token else [])]


def _versions(document: Json, labels: Mapping[str, str]) -> str:
    heads = ("VERSION", "ID", "NAMED BY", "AGE", "BYTES", "TYPE", "REPLACES")
    rows = [
        (
            labels[each["id"]],
            each["id"],
            f"{each['node'] or each['actor']} {each['n']}",
            age_of(document["at"] - each["written_at"]),
            str(each["size"]),
            each["content_type"] or NONE,
            _joined(labels[old] for old in each["replaces"]),
        )
        for each in document["versions"]
    ]
    return table(heads, rows)


def _joined(words: Iterable[str]) -> str:
    return " ".join(words) or NONE


def _events(document: Json) -> str:
    rows = [
        (age_of(document["at"] - each["at"]), each["node"], each["what"], each["source"])
        for each in document["events"]
    ]
    return table(("AGO", "NODE", "EVENT", "BY A MESSAGE OF"), rows)
