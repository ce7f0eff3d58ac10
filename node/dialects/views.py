"""/v1/view: plan a view change, commit it, watch it, take it back.

A plan is the arithmetic of a wish (plans.py) and is remembered by its name until newer ones push
it out; it may be committed as long as the view it was made from is the current one.  A commit
changes the view at once; moving the data is the job that goes on behind it, of which every node
tells what it knows.  The view is never locked: a second change over a running one is refused
unless it is forced, since it is usually a mistake and never unsafe.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from msgspec.structs import replace

from node.core.messages import Adopted, Outcome, Outdated, Propose, Unavailable
from node.core.placement import preferred
from node.core.view import View, ViewId, digest_of, slot_of
from node.dialects.contract import Ask, Call, Dialect, Events, Facts, Reply, Route
from node.dialects.plans import BadWish, Lossy, Plan, plan_of, wish_of
from node.dialects.words import fields_of, refused, said

PLANS_MAX = 32
JOBS_MAX = 8
EVENTS_EVERY_S = 0.25
HEARTBEAT_POLLS = 60  # a comment every 15 s, so that a dead link is noticed

JOB = "/v1/view/job"


def views() -> Dialect:
    """The routes below /v1/view, with the plans and sizes of jobs that this node remembers."""
    desk = Desk()
    return Dialect(
        "views",
        (
            Route("GET", "/v1/view", show),
            Route("POST", "/v1/view", desk.plan_or_commit),
            Route("GET", JOB, desk.job),
            Route("DELETE", JOB, desk.abort),
            Route("GET", "/v1/view/events", desk.events),
        ),
        lambda path: refused(404, "No such path"),
    )


def show(call: Call) -> Reply:
    """The view and how far it is; `?key=` says whom a key belongs to."""
    facts, key = call.facts(), call.query.get("key")
    shown = facts.movement()
    return said(200, shown if key is None else {**shown, "key": _place_of(facts.view, key)})


def _place_of(view: View, key: str) -> dict[str, Any]:
    slot = slot_of(digest_of(key, True))
    if not view.shards:
        return {"key": key, "slot": slot, "shard": None, "nodes": []}
    return {
        "key": key,
        "slot": slot,
        "shard": view.shard_of(slot).id,
        "nodes": list(preferred(view, slot)),
    }


@dataclass
class Begun:
    """A job as it was first seen here: when, and the items pulled until then; `slots` is the most
    that was ever lacking."""

    at: float
    items: int
    slots: int = 0


@dataclass
class Desk:
    """What this node remembers of plans, and of how much there was to move."""

    plans: "OrderedDict[str, Plan]" = field(default_factory=OrderedDict)
    jobs: "OrderedDict[str, Begun]" = field(default_factory=OrderedDict)

    # -------------------------------------------------------------- plan and commit

    def plan_or_commit(self, call: Call) -> Reply | Ask:
        fields = fields_of(call)
        if isinstance(fields, Reply):
            return fields
        match call.query.get("plan", "false"):
            case "true":
                return self._plan(call, fields)
            case "false":
                return self._commit(call, fields)
            case other:
                return refused(400, f"plan={other}: expected true or false")

    def _plan(self, call: Call, fields: Mapping[str, Any]) -> Reply:
        facts = call.facts()
        try:
            plan = plan_of(facts, wish_of(fields, facts.view, facts.movement()["nodes"]))
        except BadWish as error:
            return refused(400, str(error))
        except Lossy as error:
            return said(409, {"error": str(error), "lost": error.lost})
        self.plans[plan.id] = plan
        self.plans.move_to_end(plan.id)
        if len(self.plans) > PLANS_MAX:
            self.plans.popitem(last=False)
        return said(200, plan.document)

    def _commit(self, call: Call, fields: Mapping[str, Any]) -> Reply | Ask:
        name, force = fields.get("plan"), fields.get("force", False)
        if type(name) is not str or type(force) is not bool or set(fields) - {"plan", "force"}:
            words = 'expected {"plan": "p-..."} with the name of a plan, and perhaps "force"'
            return refused(400, f"{words}; POST /v1/view?plan=true makes one")
        plan, facts = self.plans.get(name), call.facts()
        if plan is None:
            return refused(404, f"this node has no plan {name}; it remembers the last {PLANS_MAX}")
        if plan.base != facts.view.id:
            return _conflict(facts, f"plan {name} is stale: it was made from view {plan.base}")
        if not (_is_settled(facts) or force or plan.force):
            running = f"the change to view {facts.view.id} is still under way"
            return _conflict(facts, f'{running}; wait for it, or say "force": true')
        propose = Propose(plan.layout, plan.base, plan.lost)
        return Ask(propose, partial(self._say_committed, facts=call.facts, total=plan.copies))

    def _say_committed(self, outcome: Outcome, facts: Callable[[], Facts], total: int) -> Reply:
        match outcome:
            case Adopted():
                now = facts()
                self._begun(now, now.movement()).slots = total
                return said(202, {"job": self._job_of(now)}, {"Location": JOB})
            case Outdated():
                return _conflict(facts(), "another view came at the same time")
            case Unavailable(reason=reason):
                return refused(503, reason, {"Retry-After": "1"})
            case _:
                raise AssertionError(f"{type(outcome).__name__} answers no proposal")

    # -------------------------------------------------------------- the job

    def job(self, call: Call) -> Reply:
        return said(200, self._job_of(call.facts()))

    def abort(self, call: Call) -> Reply | Ask:
        """Propose the layout of the view before, as long as that is not retired.  Where nodes are
        is no part of it: nobody moves back."""
        facts = call.facts()
        if _is_settled(facts):
            return _conflict(facts, "no view change is under way: there is nothing to take back")
        if facts.previous is None or not facts.previous.number:
            return _conflict(facts, "this node does not remember the view before; ask another")
        propose = Propose(replace(facts.previous.layout, addresses=()), facts.view.id)
        return Ask(propose, partial(self._say_committed, facts=call.facts, total=0))

    def events(self, call: Call) -> Events:
        """The job each time that it has changed, until it is done."""
        return Events(Watcher(lambda: self._job_of(call.facts())).poll, EVENTS_EVERY_S)

    def _job_of(self, facts: Facts) -> dict[str, Any]:
        """How far the change to the current view is, as far as this node has heard; items are
        those that it has pulled itself, since it first looked."""
        movement = facts.movement()
        view_id, phase, lacking = (
            movement["view"]["id"],
            phase_of(movement),
            movement["lacking_slots"],
        )
        begun = self._begun(facts, movement)
        total = begun.slots = max(begun.slots, lacking)
        items, seconds = movement["moved_items"] - begun.items, facts.now - begun.at
        return {
            "view": view_id,
            "phase": phase,
            "progress": _progress(phase, lacking, total),
            "slots": {"to_copy": total, "lacking": lacking, "leaving": movement["leaving_slots"]},
            "items": items,
            "items_per_s": round(items / seconds, 1) if seconds > 0 and phase != "done" else 0.0,
            "started": movement["started"],
            "waiting_for": list(waited_for(movement)),
            "history": movement["history"],
        }

    def _begun(self, facts: Facts, movement: Mapping[str, Any]) -> Begun:
        """What was seen first of the change to this view."""
        seen = Begun(facts.now, movement["moved_items"])
        begun = self.jobs.setdefault(movement["view"]["id"], seen)
        if len(self.jobs) > JOBS_MAX:
            self.jobs.popitem(last=False)
        return begun


def phase_of(movement: Mapping[str, Any]) -> str:
    """adopting: not all that are up have spoken in this view; moving: not all slots are where
    they belong; retiring: nodes have yet to report that they hold nothing of the past."""
    if movement["settled"]:
        return "done"
    nodes = movement["nodes"].values()
    if any(node["alive"] and not node["in_view"] for node in nodes):
        return "adopting"
    return "moving" if movement["lacking_slots"] or movement["leaving_slots"] else "retiring"


def _progress(phase: str, lacking: int, total: int) -> float:
    """The share of the slots that are where they belong; until all have spoken nobody knows."""
    if phase == "adopting":
        return 0.0
    return 1.0 if phase == "done" else round(1 - lacking / max(1, total), 4)


def waited_for(movement: Mapping[str, Any]) -> list[dict[str, str]]:
    """The nodes without which the change cannot end, each with the reason."""
    return [
        {"node": address, "why": _why(node)}
        for address, node in movement["nodes"].items()
        if not (movement["settled"] or node["done"])
    ]


def _why(node: Mapping[str, Any]) -> str:
    if not node["alive"]:
        return "cannot be reached"
    if not node["in_view"]:
        return "has not taken over the view"
    if node["lacking"]:
        return f"lacks {node['lacking']} of its slots"
    if node["leaving"]:
        return f"holds {node['leaving']} slots that their owners do not have yet"
    return "has not reported yet"


@dataclass
class Watcher:
    """One reader of the events of a job."""

    job: Callable[[], dict[str, Any]]
    last: bytes = b""
    number: int = 0
    polls: int = 0
    is_over: bool = False

    def poll(self) -> bytes | None:
        if self.is_over:
            return None
        job = self.job()
        self.is_over = job["phase"] == "done"
        text = orjson.dumps({name: job[name] for name in job if name != "items_per_s"})
        self.polls += 1
        if text == self.last:
            return b": still here\n\n" if self.polls % HEARTBEAT_POLLS == 0 else b""
        self.last, self.number = text, self.number + 1
        kind = b"done" if self.is_over else b"progress"
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (self.number, kind, orjson.dumps(job))


def _is_settled(facts: Facts) -> bool:
    """A node without a view has nothing to wait for."""
    return facts.view.id == ViewId(0) or facts.movement()["settled"]


def _conflict(facts: Facts, words: str) -> Reply:
    return said(409, {"error": words, "view": facts.movement()["view"]})
