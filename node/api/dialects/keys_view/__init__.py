"""The keys_view contract: a causal context with every request, and a view that an operator puts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects import address_setting
from node.api.dialects.first_commands import write_and_read
from node.api.entry import Entry, Given, Machine, Texts
from node.setting_types import BadSetting, Setting, whole

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings
    from node.core.model.options import Start

COPIES = Setting(
    "REPL_FACTOR",
    whole(1, 4096),
    "",
    "",
    "keys_view: how many nodes hold each key, instead of SHARD_COUNT",
)


class KeysView(Entry):
    name = "keys_view"
    settings = (address_setting.ADDRESS, COPIES)
    waits_to_be_named = True

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.keys_view.handlers import keys_view

        return keys_view()

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        return (self.name,) if address_setting.is_given(given) and given["VIEW"] else ()

    def translated(self, given: Given) -> Texts:
        return address_setting.as_socket_address(given)

    def checked(self, settings: "Settings") -> "Settings":
        """Compute the number of shards: each has REPL_FACTOR nodes or more."""
        factor, nodes = settings.own[COPIES.name], len(settings.view)
        if factor is None:
            return settings
        if settings.shard_count is not None:
            raise BadSetting(COPIES.name, str(factor), "no SHARD_COUNT beside it")
        if factor > nodes:
            raise BadSetting(COPIES.name, str(factor), f"at most {nodes}, as many as nodes in VIEW")
        return settings._replace(shard_count=nodes // factor)

    def start(self, settings: "Settings") -> "Start | None":
        """Let a node that VIEW does not name begin without a view, until a view names it."""
        from node.core.model.options import Start
        from node.core.model.view import no_view

        told = settings.shard_count is not None or len(settings.view) == 1
        has_place = told and settings.socket_address in settings.view
        return None if has_place else Start(no_view(settings.view))

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        seen: dict[str, object] = {"causal-context": {}}
        return write_and_read(nodes, "/kvs/keys/greeting", {"value": "hello"}, seen)
