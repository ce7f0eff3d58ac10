"""One replica as a function: events go in, effects come out (`replica.Replica.step`).

    replica        the one entrance: which part handles which event
    status         read-only reports
    requests/      what clients ask: the origin's side and the owner's side
    maintenance/   background work: its schedule; comparing with peers, and pulling
    integrity/     damaged rows: finding, comparing and repairing them
    membership/    the nodes of the cluster: views, incarnations, gossip
    replication/   what peers have, and getting what this replica lacks
    storage/       what this replica has
    protocol/      what nodes and clients say, and what a step causes
    model/         values and arithmetic

Each imports only from those below it; requests and maintenance do not know each other.  Read from
the bottom: model/dots and model/item, storage/keyspace, requests/write_home.
"""
