"""What a replica need not keep any longer: log entries, and parts of open items.  (protocol D6.)"""

from node.core.storage.keyspace import Keyspace


def prune(keyspace: Keyspace) -> None:
    """Drop some log entries of dots that every member has, under a clock that is saved."""
    marks, log = keyspace.watermarks, keyspace.log
    gone = {**marks.shard, **log.bounds_below(marks.oldest_view)}
    if log.has_below(gone):
        keyspace.save_parts()
    log.drop_below(gone)


def compact(keyspace: Keyspace, limit: int) -> None:
    """Look again at open items: strip what the clock covers, erase marks that are done."""
    keyspace.transfers.let_go(keyspace.is_covered)
    keyspace.replaced.begin()
    keyspace.resave(limit)
