"""What an explanation of a key means, in sentences.

Nodes go by the names in the document, versions by their labels (v1, v2 and so on).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
Labels = Mapping[str, str]
SOON_S, MINUTE_S, HOUR_S, DAY_S = 10.0, 60.0, 3600.0, 86_400.0


def sentences(document: Json, labels: Labels) -> Iterator[str]:
    """Say what readers are shown, what is unknown, what each replica lacks, and what is under
    way."""
    yield from _shown(document, labels)
    yield from _unknown(document)
    for replica in document["replicas"]:
        if replica["reached"]:
            yield from _state(replica)
            yield from _lacking(document, replica)
            yield from _ahead(replica)
    yield from _hints(document, labels)
    yield from _waiting(document)


# ------------------------------------------------------------------ what is shown
def _shown(document: Json, labels: Labels) -> Iterator[str]:
    """Say which versions readers of which replicas are shown."""
    owners = [each for each in document["replicas"] if each["owner"]]
    told = [each for each in owners if each["reached"] and not each["damaged"]]
    groups: dict[tuple[str, ...], list[str]] = {}
    for each in told:
        groups.setdefault(tuple(versions_at(each, labels, "shown")), []).append(each["node"])
    if len(groups) == 1 and len(told) == len(owners):
        [shown] = groups
        yield f"{_all_of(len(owners))} {_values(shown)}."
        return
    for shown, nodes in groups.items():
        yield f"{listed(nodes)} {_verb(nodes, 'show')} {_values(shown)}."


def _all_of(owners: int) -> str:
    return {1: "The owner shows", 2: "Both owners show"}.get(owners, f"All {owners} owners show")


def versions_at(replica: Json, labels: Labels, state: str) -> list[str]:
    """Return the labels of the versions that are in this state at a replica."""
    return [labels[each["id"]] for each in replica["versions"] if each["state"] == state]


def _values(shown: Sequence[str]) -> str:
    if not shown:
        return "no value"
    return f"one value, {shown[0]}" if len(shown) == 1 else f"{len(shown)} values, {listed(shown)}"


# ------------------------------------------------------------------ what is unknown
def _unknown(document: Json) -> Iterator[str]:
    """Name every node that has not reported, and what is unknown without it."""
    asked = document["node"]
    replicas = [each["node"] for each in document["replicas"]]
    others = []
    for each in document["unreached"]:
        if each["node"] not in replicas:
            others.append(each["node"])
            continue
        if each["reason"] == "silent":
            why = f"{each['node']} did not answer {asked} in time"
        else:
            why = f"{each['node']} cannot be reached from {asked}{_heard(asked, each)}"
        yield f"{why}: what it has is unknown."
    if others:
        keep = _verb(others, "keep")
        yield f"{listed(others)} did not answer: whether {_they(others)} {keep} hints is unknown."


def _heard(asked: str, silence: Json) -> str:
    heard_s = silence["heard_s_ago"]
    if heard_s is None:
        return ", which has not heard of it since it started"
    return f", which heard of it {age_of(heard_s)} ago"


# ------------------------------------------------------------------ what replicas lack
def _state(replica: Json) -> Iterator[str]:
    if replica["damaged"]:
        yield f"The row of the key at {replica['node']} is damaged: its peers mend it."
    elif not replica["whole"]:
        node = replica["node"]
        yield f"{node} answers reads with the help of others: its slots have not all arrived."


def _lacking(document: Json, replica: Json) -> Iterator[str]:
    """Say whose writes a replica lacks, and how many of these are to this key."""
    for lack in replica["lacks"]:
        here = [
            document["at"] - version["written_at"]
            for version in document["versions"]
            if version["actor"] == lack["actor"] and replica["node"] in version["lacking_at"]
        ]
        said = f"{replica['node']} lacks {counted(lack['writes'], 'write')} of {_author(lack)}"
        if not here:
            yield f"{said}, none of them to this key."
        elif len(here) == lack["writes"] == 1:
            yield f"{said}, made {age_of(here[0])} ago."
        else:
            yield f"{said}, {len(here)} of them to this key, the last one {age_of(min(here))} ago."


def _ahead(replica: Json) -> Iterator[str]:
    """Say what the token wants and a replica lacks, and which replicas have it."""
    for lack in replica["missing"]:
        yield f"The token is ahead of {replica['node']}: {_wanted(lack)}."


def _wanted(lack: Json) -> str:
    if lack["actor"].startswith("view."):
        return f"it knows view {lack['have']}, and the session has met view {lack['need']}"
    holders = lack["held_by"]
    where = (
        f"{listed(holders)} {_verb(holders, 'have')} it"
        if holders
        else "no node that answered has it"
    )
    return f"it wants write {lack['need']} of {_author(lack)}, and {where}"


def _author(entry: Json) -> str:
    return str(entry["node"] or entry["actor"])


# ------------------------------------------------------------------ what is under way
def _hints(document: Json, labels: Labels) -> Iterator[str]:
    for hint in document["hints"]:
        version = labels.get(hint["id"], "a version that is replaced")
        since = age_of(document["at"] - hint["kept_at"])
        yield f"{hint['holder']} has kept {version} for {hint['target']} for {since}."


def _waiting(document: Json) -> Iterator[str]:
    for each in document["waiting"]:
        said = f"A {each['kind']} has waited at {each['node']} for {age_of(each['for_s'])}"
        wants = "; ".join(map(_wanted, each["missing"]))
        if each["kind"] == "read":
            yield f"{said}: {wants}." if wants else f"{said} for replicas to answer."
        else:
            nodes = each["nodes"] or ["no replica"]
            yield f"{said}: {listed(nodes)} {_verb(nodes, 'have')} acknowledged it."


# ------------------------------------------------------------------ words
def listed(words: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _verb(subjects: Sequence[str], verb: str) -> str:
    """Return the verb for one subject or for several."""
    if len(subjects) > 1:
        return verb
    return "has" if verb == "have" else f"{verb}s"


def _they(subjects: Sequence[str]) -> str:
    return "they" if len(subjects) > 1 else "it"


def age_of(seconds: float) -> str:
    """Return a length of time in the unit that a person would use."""
    seconds = max(0.0, seconds)
    if seconds < SOON_S:
        return f"{seconds:.1f} s"
    for unit_s, unit, until_s in ((1.0, "s", MINUTE_S), (MINUTE_S, "min", HOUR_S)):
        if seconds < until_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds / HOUR_S:.0f} h" if seconds < DAY_S else f"{seconds / DAY_S:.0f} d"
