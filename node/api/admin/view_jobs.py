"""/v1/view: plan a view change, commit it, watch it, take it back.

A plan says what a change request would do (view_plans.py).  The node remembers its last plans by
their names.  A client may commit a plan while the view that it was made from is the current one.  A
commit changes the view at once; the job is the data movement that follows, and every node reports
what it knows of it.

No change locks the view.  The node refuses a second change while one is running, since it is
usually a mistake, though never unsafe; "force" overrides that.  It accepts a change that gives up
nodes, since such a change ends the wait for them.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from node.api.admin.view_plans import Plan, change_request_of, plan_of
from node.api.contract import Ask, Call, Dialect, Events, Facts, Refused, Reply, Route
from node.api.parsing import bad_request, fields_said_once, in_doubt, refused, said
from node.core.model.keys import key_hash_of, slot_of
from node.core.model.placement import preferred
from node.core.model.view import View, ViewId
from node.core.protocol.operations import Adopted, Outcome, Outdated, Propose, Unavailable
from node.security.scopes import ApiScope

PLANS_MAX = 32
JOBS_MAX = 8
EVENTS_EVERY_S = 0.25
HEARTBEAT_POLLS = 60  # a comment every 15 s, so that clients notice a dead link

JOB = "/v1/view/job"


def views() -> Dialect:
    """Return the routes below /v1/view; they share this node's memory of plans and jobs."""
    desk = Desk()
    return Dialect(
        "views",
        (
            Route("GET", "/v1/view", show, ApiScope.READ),
            Route("POST", "/v1/view", desk.plan_or_commit, ApiScope.ADMIN),
            Route("GET", JOB, desk.job, ApiScope.READ),
            Route("DELETE", JOB, desk.abort, ApiScope.ADMIN),
            Route("GET", "/v1/view/events", desk.events, ApiScope.READ),
        ),
        lambda path: refused(404, "No such path"),
    )


def show(call: Call) -> Reply:
    """Show the view and how far it is; with `?key=`, the shard and the nodes of a key."""
    facts, key = call.facts(), call.query.get("key")
    shown = facts.movement()
    return said(200, shown if key is None else {**shown, "key": _place_of(facts.view, key)})


def _place_of(view: View, key: str) -> dict[str, Any]:
    slot = slot_of(key_hash_of(key, True))
    if not view.shards:
        return {"key": key, "slot": slot, "shard": None, "nodes": []}
    return {
        "key": key,
        "slot": slot,
        "shard": view.shard_of(slot).id,
        "nodes": list(preferred(view, slot)),
    }


class Begun(msgspec.Struct):
    """What this node saw first of a job: the time, and the items that it had pulled until then.

    `slots` is the highest number of lacking slots that it has seen.
    """

    at: float
    items: int
    slots: int = 0


class Desk(msgspec.Struct):
    """This node's memory of plans, and of the sizes of jobs."""

    plans: "OrderedDict[str, Plan]" = msgspec.field(default_factory=OrderedDict)
    jobs: "OrderedDict[str, Begun]" = msgspec.field(default_factory=OrderedDict)

    # -------------------------------------------------------------- plan and commit

    def plan_or_commit(self, call: Call) -> Reply | Ask:
        fields = fields_said_once(call)
        match call.query.get("plan", "false"):
            case "true":
                return self._plan(call, fields)
            case "false":
                return self._commit(call, fields)
            case other:
                raise bad_request(f"plan={other}: expected true or false")

    def _plan(self, call: Call, fields: Mapping[str, Any]) -> Reply:
        facts = call.facts()
        plan = plan_of(facts, change_request_of(fields, facts.view, facts.movement()["nodes"]))
        self.plans[plan.id] = plan
        self.plans.move_to_end(plan.id)
        if len(self.plans) > PLANS_MAX:
            self.plans.popitem(last=False)
        return said(200, plan.document)

    def _commit(self, call: Call, fields: Mapping[str, Any]) -> Ask:
        name, force = fields.get("plan"), fields.get("force", False)
        if type(name) is not str or type(force) is not bool or set(fields) - {"plan", "force"}:
            words = 'expected {"plan": "p-..."} with the name of a plan, and perhaps "force"'
            raise bad_request(f"{words}; POST /v1/view?plan=true makes one")
        plan, facts = self.plans.get(name), call.facts()
        if plan is None:
            words = f"this node has no plan {name} among its last {PLANS_MAX}; plan again"
            raise Refused(refused(404, words))
        if plan.base != facts.view.id:
            raise _conflict(
                facts,
                f"plan {name} is stale: it was made from view {plan.base}; plan again",
            )
        if not (_is_settled(facts) or force or plan.force or plan.lost):
            running = f"the change to view {facts.view.id} is still under way"
            raise _conflict(facts, f'{running}; wait for it, or say "force": true')
        propose = Propose(plan.layout, plan.base, plan.lost)
        return Ask(propose, partial(self._say_committed, facts=call.facts, total=plan.copies))

    def _say_committed(self, outcome: Outcome, facts: Callable[[], Facts], total: int) -> Reply:
        match outcome:
            case Adopted():
                now = facts()
                self._begun(now, now.movement()).slots = total
                return said(202, {"job": self._job_of(now)}, {"Location": JOB})
            case Outdated():
                raise _conflict(facts(), "another view came at the same time; try again")
            case Unavailable(reason=reason):
                return refused(503, reason, in_doubt(outcome))
            case _:
                raise AssertionError(f"{type(outcome).__name__} answers no proposal")

    # -------------------------------------------------------------- the job

    def job(self, call: Call) -> Reply:
        return said(200, self._job_of(call.facts()))

    def abort(self, call: Call) -> Ask:
        """Propose the layout of the previous view, as long as that view is not retired.

        The proposal leaves the nodes' addresses as they are.
        """
        facts = call.facts()
        if _is_settled(facts):
            raise _conflict(facts, "no view change is under way: there is nothing to take back")
        if facts.previous is None or not facts.previous.number:
            raise _conflict(facts, "this node does not remember the view before; ask another")
        propose = Propose(replace(facts.previous.layout, addresses=()), facts.view.id)
        return Ask(propose, partial(self._say_committed, facts=call.facts, total=0))

    def events(self, call: Call) -> Events:
        """Stream the job each time that it changes, until it is done."""
        return Events(Watcher(lambda: self._job_of(call.facts())).poll, EVENTS_EVERY_S)

    def _job_of(self, facts: Facts) -> dict[str, Any]:
        """Report how far the change to the current view is, as far as this node has heard.

        The items are those that this node itself has pulled since it first saw the job.
        """
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
        """Return what this node saw first of the change to this view, and remember it."""
        seen = Begun(facts.now, movement["moved_items"])
        begun = self.jobs.setdefault(movement["view"]["id"], seen)
        if len(self.jobs) > JOBS_MAX:
            self.jobs.popitem(last=False)
        return begun


def phase_of(movement: Mapping[str, Any]) -> str:
    """Name the phase of a change.

    "adopting": some live nodes have not reported this view yet.  "moving": some slots are not where
    they belong.  "retiring": some nodes have yet to report that they hold nothing of older views.
    """
    if movement["settled"]:
        return "done"
    nodes = movement["nodes"].values()
    if any(node["alive"] and not node["in_view"] for node in nodes):
        return "adopting"
    return "moving" if movement["lacking_slots"] or movement["leaving_slots"] else "retiring"


def _progress(phase: str, lacking: int, total: int) -> float:
    """Return the share of the slots that are where they belong; 0 while nodes adopt the view."""
    if phase == "adopting":
        return 0.0
    return 1.0 if phase == "done" else round(1 - lacking / max(1, total), 4)


def waited_for(movement: Mapping[str, Any]) -> list[dict[str, str]]:
    """List the nodes without which the change cannot end, each with the reason."""
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


class Watcher(msgspec.Struct):
    """One client that reads the events of a job."""

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
    """Whether no change is under way; a node without a view has nothing to wait for."""
    return facts.view.id == ViewId(0) or facts.movement()["settled"]


def _conflict(facts: Facts, words: str) -> Refused:
    return Refused(said(409, {"error": words, "view": facts.movement()["view"]}))
