"""The names of this cluster: how a node tells tokens of its own cluster from those of another.

Nodes that begin from the same settings share addresses alone, and another cluster may have had the
same.  So a cluster goes by the short names of the nodes that began it.  A node takes over the name
that another node tells it first.  If no node can, it takes one that its disk knows: a new
incarnation on old rows is told nothing before it answers.  If there is none, it takes its own.  It
keeps its name for its incarnation, and gives out tokens under it.  Every name is the short name of
a node, and nodes tell each other all incarnations, and under which name each incarnation goes.
(docs/decisions/0028.)
"""

Names = dict[str, str]  # short name of an incarnation -> the name of the cluster that it goes under
NAME_CHARACTERS = 6
NAMES_IN_TOKEN_MAX = 8


class Naming:
    """The names by which incarnations go, as far as this node has heard; `short` is this
    incarnation's own."""

    def __init__(self, short: str, names: Names) -> None:
        self._short = short
        self.names = dict(names)

    @property
    def name(self) -> str:
        """The name this node gives out tokens under; nothing while it has none."""
        return self.names.get(self._short, "")

    def take(self, name: str) -> bool:
        """Go under this name, unless this incarnation has one; if it is empty, under one that is
        known here, or else under its own.  Whether this is news."""
        if self.name:
            return False
        self.names[self._short] = name or min(self.names.values(), default=self._short)
        return True

    def merge(self, names: Names) -> bool:
        """Take over what another node has heard; whether anything was new.  An incarnation never
        changes its name, and only this node knows that of its own incarnation."""
        new = {s: n for s, n in names.items() if s not in self.names and s != self._short}
        self.names.update(new)
        return bool(new)


def pieces(name: str) -> list[str]:
    """The names in a token's: several where answers of nodes under several names were joined."""
    return [name[i : i + NAME_CHARACTERS] for i in range(0, len(name), NAME_CHARACTERS)]


def joined(one: str, two: str) -> str:
    """A token's name that says both."""
    if one == two or not two:
        return one
    return "".join(sorted({*pieces(one), *pieces(two)}))
