"""Values and arithmetic; no state of a replica.  Everything in the core may import it.

    keys           key -> hash -> slot -> row
    slots          sets of slots
    view           which node owns which slot; placement: the layouts that follow
    pace           the heartbeat's period, and all bounds of a peer's silence
    actors         the names under which nodes write
    dots           names of writes, and clocks that say which of them are known
    item           all that a replica knows of one key: versions, and what they have replaced
    hlc            timestamps
    token          what a client depends on; cluster_name: the cluster that gave it
    vector_clock   vector clocks, for contracts that show one
    quorum         the number of copies that is enough
    options        bounds that the core is given: siblings, messages, pages, tokens, log, scrub

Read keys, dots and item first.
"""
