"""The names by which the nodes of a view call each other."""


def name_of(identifier: str) -> str:
    """Return the name of the node with this id."""
    return f"node-{identifier}"
