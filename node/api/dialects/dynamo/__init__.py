"""The dynamo contract: writes to two nodes, reads from two, and requests to a single replica."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects.first_commands import curl
from node.api.entry import Entry, Machine

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings


class Dynamo(Entry):
    name = "dynamo"

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.dynamo.handlers import dynamo

        return dynamo()

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        return [
            curl("POST", f"{nodes[0].url}/storeData", {"key": "greeting", "value": "hello"}),
            f"curl '{nodes[-1].url}/getData?key=greeting'",
        ]
