"""A cluster in one thread, one seed and no real time: the product's own driver and core.

    world           machines, links and disks         timeline      virtual time
    sim_voice       what nodes tell their operators
    trial           one seed from its first draw to its verdict
    campaign        plays seeds; soak: seeds that were never played
    nemesis         drawn faults; recurring: those that leave all other draws of a seed as they were
    disk_corruption  disk_copies  foreign_clients  item_sizes  core_bounds  random_layouts
    workload        sessions of clients, their keys and values
    invariants      checks every message and every durable row; disk_shadow: what a disk has
    memory_store    the disk

Read world, then trial.
"""
