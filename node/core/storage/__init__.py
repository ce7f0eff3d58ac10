"""What this replica has, on disk and in memory.

    keyspace           the items and their clocks: read this first
    slot_groups        slots that share one clock
    key_log            which key a write belongs to
    pruning            when log entries and open items are looked at again
    watermarks         what all replicas have
    delete_marks       when a deleted key leaves nothing; keyspace applies it as it saves an item
    open_keys          the rows to look at again
    named_write        a write that was named
    expiry             when versions expire
    item_cache         items in memory, bounded by bytes
    row_scan           `Rows`: all that the core reads of the store; rows in order
    slot_counts        live keys and bytes of each slot
    content_hash       one hash of all versions; slot_cleanup: rows of slots that have left
    replaced           what has left items of late, for watches
    past_runs          earlier runs of nodes, said by one name
    transfer_progress  how far a full exchange has come; written_since: what came meanwhile

Imports model and protocol.  Knows nothing of peers.
"""
