"""Which fields a file of the product sets although they are another file's.

A field is set in the file of its class: on `self`, on an object whose class has that field and
stands in the same file, or on an object that the function itself has made.
"""

import ast
from collections.abc import Iterator


def set_for_others(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, field) of each assignment to a field of another file's object."""
    own = set(_fields_of(tree))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        made = set(_made_in(function))
        for line, target in _assigned_in(function):
            owner = ast.unparse(target.value)
            if owner != "self" and owner not in made and target.attr not in own:
                yield line, ast.unparse(target)


def _fields_of(tree: ast.Module) -> Iterator[str]:
    """What the classes of a file declare, or set on themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            yield from (ast.unparse(field.target) for field in fields)
            for _, target in _assigned_in(node):
                if ast.unparse(target.value) == "self":
                    yield target.attr


def _assigned_in(tree: ast.AST) -> Iterator[tuple[int, ast.Attribute]]:
    """The attributes that are set, changed, or deleted, whole or in part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            targets = list(node.targets)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        while targets:
            target = targets.pop()
            if isinstance(target, ast.Tuple | ast.List):
                targets += target.elts
            elif isinstance(target, ast.Subscript | ast.Starred):
                targets.append(target.value)
            elif isinstance(target, ast.Attribute):
                yield node.lineno, target


def _made_in(function: ast.FunctionDef) -> Iterator[str]:
    """The names of what a function has made by calling a class, or a function of that file."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _made_by(target, node.value)


def _made_by(target: ast.expr, value: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for name, each in zip(target.elts, value.elts, strict=True):
            yield from _made_by(name, each)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        yield ast.unparse(target)
