"""All contracts, and which of them a node speaks."""

from collections.abc import Sequence

from node.api.dialects.admin_view import AdminView
from node.api.dialects.asg4 import Asg3, Asg4
from node.api.dialects.causal import Causal
from node.api.dialects.data_view import DataView
from node.api.dialects.dynamo import Dynamo
from node.api.dialects.keys_view import KeysView
from node.api.dialects.peers import Peers
from node.api.dialects.shard_view import ShardView
from node.api.entry import Entry, Given
from node.setting_types import BadSetting, Setting

# A node speaks the first one that recognizes its settings; the last one takes any.
ENTRIES: tuple[Entry, ...] = (
    Peers(),
    ShardView(),
    KeysView(),
    AdminView(),
    DataView(),
    Causal(),
    Dynamo(),
    Asg3(),
    Asg4(),
)
BY_NAME = {entry.name: entry for entry in ENTRIES}
SETTINGS: tuple[Setting, ...] = tuple(
    dict.fromkeys(setting for entry in ENTRIES for setting in entry.settings)
)


def recognized_by(given: Given) -> tuple[str, ...]:
    """Return the names of the contracts whose settings these are."""
    return next(filter(None, (entry.recognized_by(given) for entry in ENTRIES)))


def spoken(names: Sequence[str]) -> list[Entry]:
    """Return the entries of these names.

    Raises BadSetting if one node cannot speak them together.
    """
    for name in names:
        if name not in BY_NAME:
            known = ", ".join(sorted(BY_NAME))
            raise BadSetting("DIALECT", ",".join(names), f"names among: {known}")
        if BY_NAME[name].is_alone and len(names) > 1:
            raise BadSetting("DIALECT", ",".join(names), f"{name} without any other")
    return [BY_NAME[name] for name in names]
