"""What a setting is, and how a node reads its value.

A wrong value raises `BadSetting`, whose text is one line: the setting, what was found, and what was
expected.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from node.addresses import canonical

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]{1,253})(:[0-9]{1,5})?")
ORIGINS_MAX = 64
ANY_ORIGIN = "*"
HIDDEN = "(not shown)"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class BadSetting(Exception):
    """A setting with which a node cannot start."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name}={value!r}: expected {expected}")
        self.name, self.value, self.expected = name, value, expected


class Kind(NamedTuple):
    """How to read a value (ValueError: it is wrong), and the words for what is expected."""

    read: Callable[[str], Any]
    expected: str


def read_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(text)
    return text


def read_list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def read_view(text: str) -> tuple[str, ...]:
    return tuple(canonical(word) for word in read_list(text))


def read_peers(text: str) -> tuple[str, ...]:
    """Read the URLs of nodes into addresses; a URL may have nothing but the address."""
    urls = read_list(text)
    return tuple(canonical(url.removeprefix("http://").removesuffix("/")) for url in urls)


def read_origins(text: str) -> tuple[str, ...]:
    """Read origins as browsers write them: without a path, and without the default port."""
    origins = tuple(map(_origin, read_list(text)))
    if len(origins) > ORIGINS_MAX:
        raise ValueError(text)
    return origins


def _origin(text: str) -> str:
    if text == ANY_ORIGIN:
        return text
    found = ORIGIN.fullmatch(text.lower())
    if found is None or (found[3] and not 1 <= int(found[3][1:]) <= 65535):
        raise ValueError(text)
    return text.lower().removesuffix(DEFAULT_PORTS[found[1]] if found[3] else "")


def whole(low: int, high: int) -> Kind:
    def read(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return Kind(read, f"a whole number from {low} to {high}")


def seconds(low: float, high: float) -> Kind:
    def read(text: str) -> float:
        number = float(text)
        if math.isnan(number) or not low <= number <= high:
            raise ValueError(text)
        return number

    return Kind(read, f"a number from {low:g} to {high:g}")


def one_of(**words: Any) -> Kind:
    def read(text: str) -> Any:
        if text not in words:
            raise ValueError(text)
        return words[text]

    return Kind(read, " or ".join(words))


ORIGINS = Kind(
    read_origins, f"at most {ORIGINS_MAX} origins http://host:port with commas between them, or *"
)
SWITCH = one_of(**{"0": False, "1": True})


class Setting(NamedTuple):
    """One row of the table; `default` is None for a setting that must be given."""

    name: str
    kind: Kind
    unit: str
    default: str | None
    meaning: str
    stands_for: str = ""  # another setting; the node ignores this one where both are given
    places: bool = False  # whether it gives the node's address
    is_secret: bool = False  # whether its value may be shown nowhere, and is no flag

    @property
    def flag(self) -> str:
        return "--" + self.name.lower().replace("_", "-")

    def read(self, text: str) -> Any:
        """Return what this text means, or the default; None for an optional setting without one.

        Raises BadSetting.
        """
        text = text or self.default or ""
        if not text:
            if self.default is None:
                raise BadSetting(self.name, text, self.kind.expected)
            return None
        try:
            return self.kind.read(text)
        except ValueError:
            shown = HIDDEN if self.is_secret else text
            raise BadSetting(self.name, shown, self.kind.expected) from None
