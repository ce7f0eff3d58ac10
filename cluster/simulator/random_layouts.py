"""Draws the layouts of view changes, and the machines beside those of the first view.

Some layouts are what an operator would ask for (`placement`).  Others are arbitrary: any groups,
any owner for any slot, so that every node gains and loses slots in every way.  A draw deals all
4096 slots, since a run's few keys may live anywhere.  (protocol D10, models/live_view.py.)
"""

from collections.abc import Sequence
from random import Random

from node.core.model import placement
from node.core.model.keys import SLOTS
from node.core.model.options import Start
from node.core.model.view import Layout, Shard, View, no_view

KINDS = (
    "reshaped", "reshaped", "one more node", "one more member", "without one",
    "any groups", "any groups", "any owners",
)  # fmt: skip
SHARDS_MAX = 3
BLOCK_SLOTS_MAX = 1024

# A spare machine may be up from the start, and either ask the others, or know no node and wait to
# be asked.  Or it comes up later, and asks to be added; or it comes up when a view names it.
SPARES = ("asks", "waits", "joins", "named")


def start_of(spare: str, view: View) -> Start:
    """Return what a spare machine is told when it starts."""
    return Start(no_view(() if spare == "waits" else view.nodes), join=spare == "joins")


def layout_of(random: Random, view: View, machines: Sequence[str]) -> Layout:
    """Draw a layout to follow this view."""
    while True:
        try:
            return _drawn(random, random.choice(KINDS), view, machines)
        except ValueError:  # a request that cannot be met
            continue


def _drawn(random: Random, kind: str, view: View, machines: Sequence[str]) -> Layout:
    if kind == "one more node":
        others = [address for address in machines if address not in view.nodes]
        return placement.with_node(view, _one_of(random, others))
    if kind == "one more member":
        shard = random.choice(view.shards)
        others = [address for address in view.nodes if address not in shard.members]
        return placement.with_member(view, shard.id, _one_of(random, others))
    if kind == "without one":
        return placement.without(view, random.choice(view.nodes))
    nodes = random.sample(machines, random.randint(1, len(machines)))
    shards = random.randint(1, min(SHARDS_MAX, len(nodes)))
    if kind == "reshaped":
        return placement.reshaped(view, nodes, shards)
    if kind == "any owners":
        return Layout(view.nodes, view.shards, _owners(random, len(view.shards)))
    idle = random.randint(0, len(nodes) - shards) if random.random() < 0.2 else 0
    members = nodes[idle:]
    groups = [Shard(f"s{i + 1}", tuple(members[i::shards])) for i in range(shards)]
    return Layout(tuple(nodes), tuple(groups), _owners(random, shards))


def _one_of(random: Random, addresses: Sequence[str]) -> str:
    if not addresses:
        raise ValueError("there is no other machine")
    return random.choice(addresses)


def _owners(random: Random, shards: int) -> bytes:
    """Draw the shard of each slot, in blocks of some length."""
    block = random.choice((1, 64, BLOCK_SLOTS_MAX))
    return b"".join(bytes([random.randrange(shards)]) * block for _ in range(SLOTS // block))
