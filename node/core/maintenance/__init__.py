"""Background work: what a replica does without a client that waits for it.

    schedule      which work comes after which, with the reason, and its periods; those of
                  heartbeats are in model/pace, those of gossip in membership/gossip
    anti_entropy  comparing with peers, and pulling what this replica lacks

Imports integrity and below, not requests.  Read schedule first.  anti_entropy is not in
replication/, because a comparison is judged by the disk's identity, closes past runs, and compares
content.
"""
