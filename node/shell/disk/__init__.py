"""The store on SQLite.

    store          rows that survive a crash once `done` has been called
    sqlite_file    the tables, the checksums, how the file is opened
    commit_buffer  rows that are durable and not yet in their tables
    overlay        unsettled records, which override the tables' rows in reads
    checkpoints    moves SQLite's log into the tables, beside the commits
    disk_limits    all thresholds: when rows, and SQLite's log, move into the tables

Imports protocol.effects.  Read store first.
"""
