"""Which constants and default arguments of ours a file rebinds, by assignment or by patching them.

Names in capitals are constants; those of other libraries are their own affair.
"""

import ast
import re
from collections.abc import Iterator

CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]+|__(kw)?defaults__")
SETTERS = frozenset({"setattr", "delattr", "patch", "object"})  # of pytest and of unittest.mock


def rebound(tree: ast.Module, ours: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each; `ours` are our top packages."""
    foreign = {"self", "cls", *_imported_from_others(tree, ours)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _patched_by(node)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            name = ast.unparse(node)
        else:
            continue
        owner, _, last = name.rpartition(".")
        if owner and CONSTANT.fullmatch(last) and owner.partition(".")[0] not in foreign:
            yield node.lineno, name


def _patched_by(call: ast.Call) -> str:
    """The dotted name that a call of a setter rebinds; empty for other calls."""
    if not call.args or ast.unparse(call.func).rpartition(".")[2] not in SETTERS:
        return ""
    first = call.args[0]
    if isinstance(first, ast.Constant):
        return str(first.value)
    second = call.args[1] if len(call.args) > 1 else None
    return f"{ast.unparse(first)}.{second.value!s}" if isinstance(second, ast.Constant) else ""


def _imported_from_others(tree: ast.Module, ours: str) -> Iterator[str]:
    """The names by which a file knows other libraries, and what is in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [(alias.name, alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [(str(node.module), alias.asname or alias.name) for alias in node.names]
        else:
            continue
        for module, name in modules:
            if module.partition(".")[0] not in ours.split():
                yield name.partition(".")[0]
