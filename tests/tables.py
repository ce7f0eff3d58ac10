"""The tables of docs/ that come from the code: `python -m tests.tables` writes them again.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; test_docs fails while one differs
from its code.  The docstring of a message documents it where it is defined: "From -> to (ask or
tell): what it says."
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

from node.config import SETTINGS
from node.core.protocol import frame, hints, inspection, key_pages, messages, watching

DOCS = Path(__file__).parent.parent / "docs"
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
ROUTE = re.compile(
    r"(?P<source>.+?) -> (?P<target>.+?) \((?P<kind>(?:ask|tell)\b[^)]*)\)[.:]\s*(?P<text>.*)"
)


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    columns = head.split(" | ")
    lines = [columns, ["---"] * len(columns), *rows]
    cells = ([_escaped(cell) for cell in row] for row in lines)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")


def message_table() -> str:
    """Return the table of peer messages: sender and receiver, ask or tell, fields, and meaning."""
    modules = frame, hints, inspection, key_pages, watching, messages
    parsed = ast.parse("".join(map(inspect.getsource, modules)))
    classes = {node.name: node for node in parsed.body if isinstance(node, ast.ClassDef)}
    rows = []
    for message in get_args(messages.Message):
        name = message.__name__
        route = ROUTE.fullmatch(" ".join(str(message.__doc__).split()))
        assert route is not None, f"the docstring of {name} says nothing of its way"
        source, target, kind, text = route.groups()
        bases = [classes[base.__name__] for base in reversed(message.__mro__[1:-3])]
        fields = ", ".join(field for each in (*bases, classes[name]) for field in _fields(each))
        text = text[:1].upper() + text[1:]
        rows.append((f"`{name}`", f"{source} → {target}", kind, fields, text))
    return table("message | from → to | kind | fields | what it says", rows)


def _fields(definition: ast.ClassDef) -> Iterable[str]:
    for node in definition.body:
        if isinstance(node, ast.AnnAssign):
            yield f"`{ast.unparse(node.target)}: {ast.unparse(node.annotation)}`"


def setting_table() -> str:
    """Return the table of a node's settings."""
    rows = []
    for s in SETTINGS:
        default = "required" if s.default is None else s.default and f"`{s.default}`"
        expected = f"{s.kind.expected}, {s.unit}" if s.unit else s.kind.expected
        flag = "none" if s.is_secret else f"`{s.flag}`"
        rows.append((f"`{s.name}`", flag, s.meaning, expected, default))
    return table("variable | flag | meaning | value | default", rows)


TABLES: dict[str, Callable[[], str]] = {"messages": message_table, "settings": setting_table}


def renewed(text: str) -> str:
    """Return the page with the tables that the code gives now."""
    return MARKED.sub(lambda found: found[1] + "\n" + TABLES[found[2]]() + "\n" + found[3], text)


def main() -> None:
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if renewed(text) != text:
            page.write_text(renewed(text), encoding="utf-8")
            print(f"{page.name} is new")


if __name__ == "__main__":
    main()
