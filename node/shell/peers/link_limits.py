"""What a link holds for its peer, and which node of a pair dials first."""

import msgspec


class LinkLimits(msgspec.Struct, frozen=True):
    """A link drops a message that its queue has no room for, and counts it."""

    queue_messages_max: int = 65_536
    queue_bytes_max: int = 64 * 1024 * 1024  # an empty queue takes a larger message, too
    unlisted_max: int = 64  # a node refuses one more
    head_start_s: float = 0.5  # then the pair's larger address dials, too


USUAL = LinkLimits()
