"""A cluster in one thread, one seed and no real time: the product's own driver and core.

    world           machines, links and disks
    timeline        virtual time, and the clock of each node
    sim_voice       what nodes tell their operators
    trial           one seed from its first draw to its verdict; it makes and begins all faults
    campaign        plays seeds; soak: seeds that were never played
    nemesis         the swarm (what is drawn of a run: faults, sizes, weather) and the faults in it;
                    a new one changes what all seeds draw
    recurring       the base of faults with draws of their own, which leave all others as they were:
                    disk_corruption, disk_copies, foreign_clients, policy_changes
    item_sizes      how much messages and keys hold; core_bounds: other bounds
    random_layouts  the layouts of proposed views
    workload        sessions of clients; keys: their keys and values
    policy_changes  clients that set policies; native_keys: what clients of the native API do by
                    these, and what is judged of it; merged_values: arrays and numbers
    conditions      conditions of some of their writes; lifetimes: values that expire;
                    checked_reads: reads that check other owners
    merged_clients  clients of counters and sets; merged_rules: what is judged of these
    lost_views      what an operator does about a view that no disk knows any more
    invariants      checks every message and every durable row; disk_shadow: what a disk has;
                    operator_notes, key_counts, idle_talk: what is checked at the end
    memory_store    the disk

Read world, then trial.
"""
