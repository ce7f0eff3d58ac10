"""Orders of data_view, as tests write them: names of shards, and the ids of their nodes."""

from typing import Any

from node.api.dialects.data_view.orders import ViewOrder, order_of
from node.core.model.view import View, no_view

Groups = dict[str, list[int]]

NONE = no_view(())
TWO: Groups = {"Red": [0, 1], "Blue": [2, 3]}
FOUR: Groups = {"Red": [0], "Blue": [1], "Green": [2], "Grey": [3]}


def body_of(groups: Groups, port: int = 8081) -> dict[str, Any]:
    """Return the view as a client writes it; the node 0 is at 10.10.0.2."""
    shards = {
        shard: [{"address": f"10.10.0.{n + 2}:{port}", "id": n} for n in members]
        for shard, members in groups.items()
    }
    return {"view": shards}


def ordered(groups: Groups, port: int = 8081) -> ViewOrder:
    return order_of(body_of(groups, port))


def view_of(groups: Groups, before: View) -> View:
    """Return the view that this order makes of the one before."""
    layout = ordered(groups).layout(before)
    return View(
        before.number + 1, layout.nodes, layout.shards, layout.owner, "p", (), (), layout.addresses
    )
