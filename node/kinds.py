"""What a setting is, and what its value may look like.

Whatever is wrong raises `BadSetting`, whose text is one line that names the setting, what was found
and what was expected.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


class BadSetting(Exception):
    """A setting that a node cannot start with."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name}={value!r}: expected {expected}")
        self.name, self.value, self.expected = name, value, expected


@dataclass(frozen=True, slots=True)
class Kind:
    """How a value is read (ValueError: it is wrong), and how that is said."""

    read: Callable[[str], Any]
    expected: str


def read_address(text: str) -> str:
    found = ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError(text)
    return text


def read_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(text)
    return text


def read_list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def read_view(text: str) -> tuple[str, ...]:
    return tuple(read_address(word) for word in read_list(text))


def read_peers(text: str) -> tuple[str, ...]:
    """Nodes by their URLs; of these there is nothing but the address."""
    urls = read_list(text)
    return tuple(read_address(url.removeprefix("http://").removesuffix("/")) for url in urls)


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


SWITCH = one_of(**{"0": False, "1": True})


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table; `default` is None where a node cannot guess."""

    name: str
    kind: Kind
    unit: str
    default: str | None
    meaning: str
    stands_for: str = ""  # another setting, which counts where both are given

    @property
    def flag(self) -> str:
        return "--" + self.name.lower().replace("_", "-")
