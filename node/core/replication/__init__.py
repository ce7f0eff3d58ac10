"""What shard peers have, and getting what this replica lacks.

    progress       what one peer says that it durably has
    pull           all peers together: what is missing, and whom to ask for it
    sync_pages     making a page for a peer, and merging one

Imports storage and below.  Read progress, then pull.
"""
