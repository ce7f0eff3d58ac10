"""By what a node is told from a copy of itself (D1)."""

import msgspec


class Mark(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a node says of itself: its id, its run, how many starts and views its disk has counted
    (`generation`), and how many it had counted when the run began."""

    node_id: str = ""
    generation: int = 0
    run: str = ""
    began: int = 0


NO_MARK = Mark()
