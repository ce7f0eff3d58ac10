"""The nodes of the cluster, and which node owns what.

    view_history      the views known, the current one, and the oldest that still matters
    known_views       what this node knows of views: learning, owning, leaving, retiring
    view_change       from one view to the next: everything that follows, in order
    leaving           what a node leaves to the next owners, and when older views end
    proposals         views that clients and nodes want: judged, then passed on or taken
    incarnations      which incarnations have lived at which address
    disk_identity     whether this disk is the one that it was; if not, begins a new incarnation,
                      and says so to operators
    own_writes        what messages say of writes that a node has named
    standing          what other nodes may rely on in this run
    doubts            past runs of which something is missing
    closing           runs and incarnations that are over
    bootstrap         how a run begins: when its slots count as arrived, when its disk is confirmed
    gossip            what nodes tell each other all the time: the message `Heartbeat` (I am here;
                      its period is in model/pace) and the message `Gossip` (incarnations, reports,
                      names; its period is here); asks to join, and begins the first view
    rooms             the parts above, made in order; services: what all parts share
    failure_detector  which peers can be reached; the silence that it allows is in model/pace

Imports replication and below.  Read view_history, known_views, view_change.
"""
