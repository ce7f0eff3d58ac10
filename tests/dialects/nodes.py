"""The nodes of the exchanges: what they report of themselves, and of their view."""

from functools import partial
from typing import Any

from msgspec.structs import replace

from node.api.contract import Facts
from node.api.dialects.admin_view.handlers import WHOLE
from node.core.model.placement import first_view, reshaped
from node.core.model.policies import Policy
from node.core.model.view import Shard, View, no_view

NODES = [f"10.10.0.{host}:8090" for host in range(2, 7)]
DEAD = "10.10.0.4:8090"
STRANGER = "10.10.0.9:8090"
STARTED = 1700000000.0
CONTENT = "6b1f00d5c0ffee42a3e9d9c1b7f05a88"

VIEW = first_view(NODES, 2)
TOWARDS = reshaped(VIEW, (*NODES, STRANGER), 3)
NEXT = View(2, TOWARDS.nodes, TOWARDS.shards, TOWARDS.owner, "Zz90", ancestors=(VIEW.id,))
THIN = first_view(NODES[:2], 2)
LONE = first_view(NODES[:2], 1)
WRITTEN = [f"node-{identifier}" for identifier in range(4)]
PLACES = [f"10.10.0.{host}:8081" for host in range(2, 6)]
GROUPS = (Shard("Shard1", tuple(WRITTEN[:2])), Shard("Shard2", tuple(WRITTEN[2:])))
CALLED = View(
    3, tuple(WRITTEN), GROUPS, first_view(WRITTEN, 2).owner, "Zz90", addresses=tuple(PLACES)
)
RULED = replace(
    VIEW,
    policies=(
        Policy("carts/", "union", "refuse", "all", "quorum"),
        Policy("last/", "lww"),
        Policy("top/", "max", "sibling"),
    ),
)
VIEWS = {
    "ruled": RULED,
    "none": no_view(tuple(NODES[1:3])),
    "nothing": no_view(()),
    "called": CALLED,
    "called elsewhere": replace(CALLED, addresses=("", *PLACES[1:])),
    "first": VIEW,
    "next": NEXT,
    "joined": VIEW,
    "thin": THIN,
    "whole": replace(LONE, shards=(Shard(WHOLE, LONE.nodes),)),
}

# The slots that a node lacks and holds while a change goes on: adopted, lacking, leaving, done.
CHANGES: dict[str, tuple[bool, int, int, bool]] = {
    "beginning": (False, 0, 0, False),
    "moving": (True, 200, 100, False),
    "reporting": (True, 0, 0, False),
    "done": (True, 0, 0, True),
}


def facts_at(address: str, wrong: str = "", view: str = "first", change: str = "done") -> Facts:
    known = VIEWS[view]
    return Facts(
        address=address,
        view=known,
        alive=lambda: tuple(node for node in known.nodes if node not in (DEAD, STRANGER)),
        checks=lambda: (("view", ""), ("arrived", wrong)),
        status=lambda: {"address": address, "arrived": not wrong},
        movement=partial(movement, known, change),
        slot_loads=lambda: {slot: (slot % 3, slot % 3 * 100) for slot in range(0, 4096, 2)},
        content=lambda: CONTENT,
        previous={"next": VIEW, "joined": VIEWS["none"]}.get(view),
        now=STARTED + 10,
    )


def movement(view: View, change: str) -> dict[str, Any]:
    """Return what node.core.status.movement says; the first node is done, the dead one is not."""
    adopted, lacking, leaving, done = CHANGES[change]
    slow = view.nodes[1:]
    nodes = {
        node: {
            "in_view": node not in slow or (adopted and node != DEAD),
            "alive": node not in (DEAD, STRANGER),
            "lacking": lacking if node in slow else 0,
            "leaving": leaving if node in slow else 0,
            "done": done or node not in slow,
        }
        for node in view.nodes
    }
    return {
        "view": shape(view),
        "previous": shape(VIEW) if view is NEXT else None,
        "settled": done,
        "lacking_slots": lacking * len(slow),
        "leaving_slots": leaving * len(slow),
        "moved_items": 40,
        "started": STARTED,
        "nodes": nodes,
        "history": [{"id": "1", "number": 1}],
    }


def shape(view: View) -> dict[str, Any]:
    slots = [view.owner.count(place) for place in range(len(view.shards))]
    return {
        "id": str(view.id),
        "number": view.number,
        "nodes": list(view.nodes),
        "shards": {shard.id: list(shard.members) for shard in view.shards},
        "slots": {shard.id: n for shard, n in zip(view.shards, slots, strict=True)},
    }
