"""The asg4 contract, the default, and asg3, its predecessor without shards: the same handlers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects.first_commands import write_and_read
from node.api.entry import Entry, Given, Machine
from node.setting_types import BadSetting, Setting, one_of

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings

PORT = "8090"
AND_MORE = ("asg4", "dynamo", "peers")  # contracts whose routes do not collide

REPLACED_WORD = Setting(
    "ASG_REPLACED_WORD",
    one_of(replaced="replaced", updated="updated"),
    "",
    "replaced",
    "what asg4 calls a write over a value",
)


class Asg4(Entry):
    name = "asg4"
    settings = (REPLACED_WORD,)

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.asg4.handlers import asg4

        return asg4(settings.own[REPLACED_WORD.name], self.name)

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        _, _, port = given["SOCKET_ADDRESS"].rpartition(":")
        return AND_MORE if port.lstrip("0") == PORT else (self.name,)

    def begins_unsharded(self, settings: "Settings") -> bool:
        return settings.shard_count is None and len(settings.view) > 1

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        seen: dict[str, object] = {"causal-metadata": {}}
        return write_and_read(nodes, "/kvs/greeting", {"value": "hello"}, seen)


class Asg3(Asg4):
    name = "asg3"

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        return ()

    def checked(self, settings: "Settings") -> "Settings":
        if (settings.shard_count or 1) > 1:
            raise BadSetting("SHARD_COUNT", str(settings.shard_count), "none, or 1, beside asg3")
        return settings

    def begins_unsharded(self, settings: "Settings") -> bool:
        return True
