"""The map of a package: its folders and files as units on levels, with an arrow for each import.

A unit is a folder or a file directly in the package.  Its level is one more than the highest level
of the units that it imports, so a cycle has no levels.  There is one arrow for each pair of units
of which one imports the other.
"""

from collections import defaultdict
from graphlib import TopologicalSorter

from tests.house.rules import files, imports_of, module_of, source_of, unit_of

Graph = dict[str, set[str]]  # unit, or module -> what it imports

MAPPED = ("node.core", "cluster")


def units_of(package: str) -> Graph:
    """Return each unit of the package, with the other units that it imports."""
    graph: Graph = defaultdict(set)
    for module, imported in modules_of(package).items():
        unit = unit_of(module, package)
        graph[unit] |= {unit_of(other, package) for other in imported} - {unit}
    return dict(graph)


def modules_of(package: str) -> Graph:
    """Return each module of the package, with the modules of the package that it imports."""
    graph: Graph = {}
    for path in files():
        module = module_of(path)
        if unit_of(module, package) and path.name != "__main__.py":
            imported = {name for _, name in imports_of(source_of(path))}
            graph[module] = {name for name in imported if unit_of(name, package)}
    return graph


def levels_of(graph: Graph) -> dict[str, int]:
    """Return the level of each node, from 0; graphlib.CycleError names a cycle."""
    levels: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        levels[node] = 1 + max((levels[below] for below in graph.get(node, ())), default=-1)
    return levels


def arrows_of(graph: Graph) -> int:
    return sum(map(len, graph.values()))


def drawn(package: str) -> str:
    """Draw the map as text: one line a unit, the highest level first."""
    graph = units_of(package)
    levels = levels_of(graph)
    lines = [
        f"{package}: {len(graph)} units, {len(set(levels.values()))} levels, "
        f"{arrows_of(graph)} arrows"
    ]
    for unit in sorted(graph, key=lambda unit: (-levels[unit], unit)):
        below = sorted(graph[unit], key=lambda other: (-levels[other], other))
        lines.append(f"  {levels[unit]}  {unit:<12} -> {' '.join(below) or '(nothing)'}")
    return "\n".join(lines)
