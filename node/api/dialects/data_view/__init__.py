"""The data_view contract: a client puts a view, with ids and addresses, to every node."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects.data_view.names import name_of
from node.api.dialects.first_commands import curl, write_and_read
from node.api.entry import Entry, Given, Machine, Texts
from node.setting_types import BadSetting, Kind, Setting, read_name

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings
    from node.core.model.options import Start

LISTENS_AT = "0.0.0.0:8081"  # a node learns its address from a view
IDENTIFIER = Setting(
    "NODE_IDENTIFIER",
    Kind(read_name, "a number, or a name of at most 64 letters, digits, dots and hyphens"),
    "",
    "",
    "data_view: which node of its views we are",
    places=True,
)


class DataView(Entry):
    name = "data_view"
    settings = (IDENTIFIER,)
    is_alone = True  # its nodes have other names

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.data_view.handlers import data_view

        return data_view()

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        is_meant = given[IDENTIFIER.name] and not given["SOCKET_ADDRESS"]
        return (self.name,) if is_meant else ()

    def translated(self, given: Given) -> Texts:
        return {"SOCKET_ADDRESS": LISTENS_AT} if self.recognized_by(given) else {}

    def checked(self, settings: "Settings") -> "Settings":
        if settings.own[IDENTIFIER.name] is None:
            raise BadSetting(IDENTIFIER.name, "", "which node of its views we are")
        return settings

    def node_name(self, settings: "Settings") -> str:
        return name_of(settings.own[IDENTIFIER.name])

    def start(self, settings: "Settings") -> "Start | None":
        """Let the node wait until a client puts its view."""
        from node.core.model.options import Start
        from node.core.model.view import no_view

        return Start(no_view(()))

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        members = [{"address": node.address, "id": id_} for id_, node in enumerate(nodes)]
        cuts = [len(nodes) * i // shards for i in range(shards + 1)]
        view = {f"Shard{i + 1}": members[cuts[i] : cuts[i + 1]] for i in range(shards)}
        first = int(nodes[0].url.rpartition(":")[2])
        port_of_each = f"for port in $(seq {first} {first + len(nodes) - 1})"
        put = curl("PUT", "http://localhost:$port/view", {"view": view})
        seen: dict[str, object] = {"causal-metadata": {}}
        commands = write_and_read(nodes, "/data/greeting", {"value": "hello"}, seen)
        return [f"{port_of_each}; do {put}; done", *commands]
