"""Commands of the documents, and what they print."""

import re
from typing import NamedTuple


class Example(NamedTuple):
    """A command, and the text that it prints; `...` stands for any text, also of several lines."""

    command: str
    printed: str


def is_printed(example: Example, output: str) -> bool:
    pattern = ".*".join(map(re.escape, example.printed.split("...")))
    return re.fullmatch(pattern, output.rstrip("\n"), re.DOTALL) is not None
