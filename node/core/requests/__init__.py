"""Clients' operations: what their node (the origin) does, and what the owners of the key do.

    write_origin     a write at its origin
    write_under_way  the writes at their origin: which members to ask, what acks decide
    one_write        one of them: what counts, how long it waits for members
    drawing          the identities that an origin draws, and which are settled
    write_home       naming, storing, refusing
    repeated_writes  a write that its client sends again
    merged_writes    changes of counters and sets
    write_replica    storing what a home tells, telling it again
    read_origin      a read at its origin
    read_owner       the state of a key
    reading          one read under way; how long it waits before it asks again
    look_first       a write that waits for a read
    coverage         what a token asks of a key   read_answer     what a covered read answers
    read_repair      sends owners the versions that they lack; read_check: after which other reads
    expiring         deletes versions whose time is over: which owner does it, and when
    causal_delivery  hides versions that come before their past
    key_counts       keys of a shard              key_lists       the keys held here
    key_pages        the keys of any slots, in their order
    changes_origin   what has changed since a clock   changes    what a holder tells of it
    explaining       what all nodes have of a key   key_events      the last changes of keys
    admission        the first check of a request, at the node that takes it: token, context

Imports membership and integrity, not maintenance.  Read write_origin, write_home, then read_origin,
read_owner.
"""
