"""The causal contract: a vector clock for every client, and a delivery buffer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.api.dialects.first_commands import curl
from node.api.entry import Entry, Machine
from node.setting_types import Setting, whole

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings

HOLD = Setting(
    "HOLD_REPLICATED_MS", whole(0, 60_000), "ms", "2000", "causal: longest hold; 0: none"
)


class Causal(Entry):
    name = "causal"
    settings = (HOLD,)

    def handlers(self, settings: "Settings") -> "Dialect":
        from node.api.dialects.causal.handlers import causal

        return causal()

    def hold_s(self, settings: "Settings") -> float:
        held_ms: int = settings.own[HOLD.name]
        return held_ms / 1000

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        first, last = nodes[0].url, nodes[-1].url
        return [
            curl("POST", f"{first}/put", {"key": "greeting", "value": "hello"}),
            f"curl {last}/status",
            f"curl {last}/get/greeting",
        ]
