"""The shard_view contract: the view, its shards and their members, with causal metadata."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects.first_commands import write_and_read
from node.api.entry import Entry, Given, Machine

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings

PORT = "8085"


class ShardView(Entry):
    name = "shard_view"
    is_alone = True  # it stores values in another form than the others

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.shard_view.handlers import shard_view

        return shard_view()

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        _, _, port = given["SOCKET_ADDRESS"].rpartition(":")
        return (self.name,) if port.lstrip("0") == PORT else ()

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        seen: dict[str, object] = {"causal-metadata": ""}
        return write_and_read(nodes, "/key-value-store/greeting", {"value": "hello"}, seen)
