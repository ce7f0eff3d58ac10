"""From the reports of all nodes to one explanation of a key, as JSON.

Replicas are compared version by version.  A replica that does not hold a version has replaced it if
it has seen its dot, and lacks it otherwise.  A damaged replica says neither.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from node.api.contract import Facts
from node.api.native.parameters import KeyRequest
from node.api.native.policies import shown_policy
from node.core.model.actors import Actor
from node.core.model.dots import Dot, DotClock
from node.core.model.keys import slot_of_key
from node.core.model.tags import tag_of
from node.core.protocol.inspection import Explained, HeldVersion, KeyReport, Lacking, Silence

EVENTS_SHOWN = 20  # of all nodes together
LOOSE_SHOWN = 32  # numbers above a gap, of one actor
Json = dict[str, Any]
Reports = Mapping[str, KeyReport]


def explanation(asked: KeyRequest, facts: Facts, outcome: Explained) -> Json:
    """Return the explanation; times are in seconds since the epoch, nodes go by their address."""
    slot = slot_of_key(asked.key)
    shard = facts.view.shard_of(slot)
    holders = {node: each for node, each in sorted(outcome.reports.items()) if each.holds}
    nodes = list(dict.fromkeys((*shard.members, *holders)))
    found = _found(holders)
    replicas = [
        {"node": node, "owner": node in shard.members, **_replica(facts, outcome, found, node)}
        for node in nodes
    ]
    if not asked.token:
        for replica in replicas:
            replica.pop("covers_token", None)
    return {
        "key": asked.key,
        "at": round(facts.now, 3),
        "node": facts.address,
        "view": str(facts.view.id),
        "slot": slot,
        "shard": shard.id,
        "owners": list(shard.members),
        "reached": sorted(outcome.reports),
        "unreached": [{"node": n, **_silence(s)} for n, s in sorted(outcome.silent.items())],
        "policy": shown_policy(asked.policy),
        "replicas": replicas,
        "versions": [_version(facts, holders, found, dot) for dot in found],
        **_under_way(facts, outcome),
    }


def _found(holders: Reports) -> dict[Dot, HeldVersion]:
    """The versions that some replica holds, the latest first."""
    found = {each.dot: each for report in holders.values() for each in report.versions}
    return dict(sorted(found.items(), key=lambda each: (each[1].timestamp, each[0]), reverse=True))


# ------------------------------------------------------------------ replicas
def _replica(facts: Facts, outcome: Explained, found: Mapping[Dot, HeldVersion], node: str) -> Json:
    """What one replica has and lacks; the reason where it has not reported."""
    report = outcome.reports.get(node)
    if report is None:
        silence = outcome.silent.get(node, Silence(False, None))
        return {"reached": False, **_silence(silence)}
    missing = outcome.missing.get(node, {})
    return {
        "reached": True,
        "view": str(report.view),
        "whole": report.whole,
        "damaged": report.damaged,
        "versions": [
            {"id": tag_of((dot,)), "state": state_at(report, dot)}
            for dot in ([] if report.damaged else found)
        ],
        "clock": _clock(facts, report.clock),
        "lacks": _lacks(facts, outcome.reports, report.clock),
        "covers_token": not missing,
        "missing": _missing(facts, outcome.reports, missing),
    }


def _silence(silence: Silence) -> Json:
    reason = "silent" if silence.reachable else "unreachable"
    heard_s = silence.heard_s
    return {"reason": reason, "heard_s_ago": None if heard_s is None else round(heard_s, 3)}


def state_at(report: KeyReport, dot: Dot) -> str:
    """What a replica does with a version that some replica holds: the state of its own, "replaced"
    or "lacking"."""
    for each in report.versions:
        if each.dot == dot:
            return each.state
    return "replaced" if report.clock.has(dot) or report.past.has(dot) else "lacking"


def _clock(facts: Facts, clock: DotClock) -> list[Json]:
    return [
        {
            **_actor(facts, actor),
            "upto": clock.base.get(actor, 0),
            "beyond": sorted(clock.loose.get(actor, ()))[:LOOSE_SHOWN],
        }
        for actor in sorted({*clock.base, *clock.loose})
    ]


def _actor(facts: Facts, actor: Actor) -> Json:
    return {"node": facts.node_of(actor), "actor": actor}


def _lacks(facts: Facts, reports: Reports, clock: DotClock) -> list[Json]:
    """How many writes of each actor other replicas have, of any keys of these slots, and this one
    lacks."""
    all_of_them = DotClock()
    for report in reports.values():
        if report.holds:
            all_of_them.join(report.clock)
    counts = {
        actor: lacking_of(all_of_them, clock, actor)
        for actor in sorted({*all_of_them.base, *all_of_them.loose})
    }
    return [{**_actor(facts, a), "writes": number} for a, number in counts.items() if number]


def lacking_of(there: DotClock, here: DotClock, actor: Actor) -> int:
    """How many writes of an actor one clock has and the other lacks."""
    if here.drops(actor):
        return 0
    upto, had = there.base.get(actor, 0), here.base.get(actor, 0)
    loose = here.loose.get(actor, set())
    between = max(0, upto - had) - sum(had < n <= upto for n in loose)
    return between + sum(not here.has((actor, n)) for n in there.loose.get(actor, ()))


def _missing(facts: Facts, reports: Reports, missing: Lacking) -> list[Json]:
    """What a token wants and a replica lacks, and which replicas have it."""
    return [
        {
            **_actor(facts, actor),
            "have": have,
            "need": need,
            "held_by": sorted(n for n, r in reports.items() if r.clock.has((actor, need))),
        }
        for actor, (have, need) in sorted(missing.items())
    ]


# ------------------------------------------------------------------ versions
def _version(facts: Facts, holders: Reports, found: Mapping[Dot, HeldVersion], dot: Dot) -> Json:
    version, whole = found[dot], {n: r for n, r in holders.items() if not r.damaged}
    states = {node: state_at(report, dot) for node, report in whole.items()}
    absent = ("replaced", "lacking")
    return {
        "id": tag_of((dot,)),
        **_actor(facts, dot[0]),
        "n": dot[1],
        "written_at": version.timestamp[0] / 1000,
        "size": version.size,
        "content_type": version.content_type or None,
        "expires_at": version.expires / 1000 if version.expires else None,
        "held_by": [node for node, state in states.items() if state not in absent],
        "replaced_at": [node for node, state in states.items() if state == "replaced"],
        "lacking_at": [node for node, state in states.items() if state == "lacking"],
        "replaces": [tag_of((old,)) for old in _replaced_by(whole, found, dot)],
    }


def _replaced_by(reports: Reports, found: Mapping[Dot, HeldVersion], dot: Dot) -> Iterator[Dot]:
    """The earlier versions that all holders of this one have replaced."""
    holding = [r for r in reports.values() if any(each.dot == dot for each in r.versions)]
    for old, version in found.items():
        is_earlier = version.timestamp < found[dot].timestamp
        if is_earlier and all(state_at(report, old) == "replaced" for report in holding):
            yield old


# ------------------------------------------------------------------ what is under way
def _under_way(facts: Facts, outcome: Explained) -> Json:
    """The hints, the requests that wait, and the last events, each with the node that told it."""
    told = sorted(outcome.reports.items())
    events = [(event.at_ms, node, event) for node, report in told for event in report.events]
    events.sort(key=lambda each: each[:2])
    return {
        "hints": [
            {
                "holder": node,
                "target": hint.target,
                "id": tag_of((hint.dot,)),
                "kept_at": hint.at_ms / 1000,
            }
            for node, report in told
            for hint in report.hints
        ],
        "waiting": [
            {
                "node": node,
                "kind": each.kind,
                "for_s": round(each.for_s, 3),
                "nodes": list(each.nodes),
                "missing": _missing(facts, outcome.reports, each.missing),
            }
            for node, report in told
            for each in report.waiting
        ],
        "events": [
            {"at": at_ms / 1000, "node": node, "what": event.what, "source": event.source}
            for at_ms, node, event in events[-EVENTS_SHOWN:]
        ],
    }
