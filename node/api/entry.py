"""What the program must know of a contract before it imports the contract's handlers.

Each folder in `node/api/dialects` has one or several entries.  An entry says which settings are the
contract's own, which settings identify it, how its node starts, and what to try first.  It imports
little, since a node reads it before its port is open.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from node.setting_types import Setting

if TYPE_CHECKING:
    from node.api.contract import Dialect
    from node.config import Settings
    from node.core.model.options import Start

Texts = Mapping[str, str]  # setting -> the text that is given of it


class Given:
    """The settings that a node is given; a setting that is not given is an empty text."""

    def __init__(self, texts: Texts, settings: Sequence[Setting]) -> None:
        self._texts = texts
        self.is_placed = any(texts.get(s.name) for s in settings if s.places)  # has an address

    def __getitem__(self, name: str) -> str:
        return self._texts.get(name, "")


class Machine(NamedTuple):
    """A node as its clients see it: its base URL, and the address by which other nodes call it."""

    url: str
    address: str


class Entry:
    """One contract, with the defaults that a subclass overrides."""

    name: str
    settings: tuple[Setting, ...] = ()
    is_alone = False  # whether a node that speaks it speaks no other
    waits_to_be_named = False  # whether VIEW may omit this node

    def handlers(self, settings: "Settings") -> "Dialect":
        """Import the handlers, and return the routes."""
        raise NotImplementedError

    def recognized_by(self, given: Given) -> tuple[str, ...]:
        """Return the names of the contracts to speak if these settings identify this one."""
        return ()

    def translated(self, given: Given) -> Texts:
        """Return the general settings that this contract's own settings stand for.

        Raises BadSetting.
        """
        return {}

    def defaults(self) -> Texts:
        """Return this contract's defaults of general settings."""
        return {}

    def checked(self, settings: "Settings") -> "Settings":
        """Check the settings of a node that speaks this contract, and complete them.

        Raises BadSetting.
        """
        return settings

    def node_name(self, settings: "Settings") -> str:
        """Return the name by which other nodes call this one, or nothing if that is its address."""
        return ""

    def start(self, settings: "Settings") -> "Start | None":
        """Return what a node with an empty disk begins with; None: this contract has no rule."""
        return None

    def begins_unsharded(self, settings: "Settings") -> bool:
        """Whether the first view that its node begins counts as unsharded."""
        return False

    def hold_s(self, settings: "Settings") -> float:
        """Return how long a node may hide a version that came before its dependencies; 0: never."""
        return 0.0

    def first_commands(self, nodes: Sequence[Machine], shards: int) -> list[str]:
        """Return shell commands to begin with: put a view where needed, write, read elsewhere."""
        raise NotImplementedError
