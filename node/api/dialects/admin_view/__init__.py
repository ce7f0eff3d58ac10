"""The admin_view contract: string values, and a view that an administrator puts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects import address_setting
from node.api.dialects.first_commands import curl, write_and_read
from node.api.entry import Entry, Given, Machine, Texts

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings
    from node.core.model.options import Start

VALUE_BYTES_MAX = 16 * 1024 * 1024  # the contract takes 8 MB, and refuses more with its own words


class AdminView(Entry):
    name = "admin_view"
    settings = (address_setting.ADDRESS,)

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.admin_view.handlers import admin_view

        return admin_view()

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        return (self.name,) if address_setting.is_given(given) and not given["VIEW"] else ()

    def translated(self, given: Given) -> Texts:
        return address_setting.as_socket_address(given)

    def defaults(self) -> Texts:
        return {"VALUE_BYTES_MAX": str(VALUE_BYTES_MAX)}

    def start(self, settings: "Settings") -> "Start | None":
        """Let a node that knows no other node wait until a client puts its view."""
        from node.core.model.options import Start
        from node.core.model.view import no_view

        knows_nobody = settings.shard_count is None and len(settings.view) == 1
        return Start(no_view(())) if knows_nobody else None

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        view = {"num_shards": shards, "nodes": [node.address for node in nodes]}
        put = curl("PUT", f"{nodes[0].url}/kvs/admin/view", view)
        seen: dict[str, object] = {"causal-metadata": {}}
        return [put, *write_and_read(nodes, "/kvs/data/greeting", {"val": "hello"}, seen)]
