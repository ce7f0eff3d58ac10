"""Values and arithmetic; no state of a replica.  Everything in the core may import it.

    keys           key -> hash -> slot -> row
    slots          sets of slots
    view           which node owns which slot, as a value
    placement      the first layout, and those that follow: nodes to shards, slots to shards
    policies       what policies of prefixes may say, and which one counts; a view carries them
    policy_rules   what a policy makes of a request
    write_name     the name of a write that may get a second one
    drawn_identity what an origin calls a write that it gives to another node
    pace           the heartbeat's period, and all bounds of a peer's silence
    actors         the names under which nodes write
    dots           names of writes, and clocks that say which of them are known
    item           all that a replica knows of one key: versions, and what they have replaced
    labels         what a client says of a value beside its bytes; tags: entity tags of versions
    conditions     what a write replaces, and when it is refused
    counters       a counter's state: what each run has added; element_sets: a set's
    changes        what clients do to both; repeats: which changes were sent again
    merged_values  their keys, and how the versions of one join
    hlc            timestamps
    token          what a client depends on, and how much of it a token holds (EXACT_MAX);
                   cluster_name: the cluster that gave it
    vector_clock   vector clocks, for contracts that show one
    quorum         the number of copies that is enough
    options        all bounds that the core is given: siblings, messages, pages, tokens, log, scrub,
                   cache, and how many accepted writes a home remembers

Read keys, dots and item first.
"""
