"""The seeds of the suite: the first hundred, and others for view changes, disks and conditions.

Of the first five hundred, those in which the view changes; two hundred in which disks are copied
and put back, and nodes crash in loops; a hundred in which writes have conditions; sixty in which
values expire; forty in which reads of one replica check the others; sixty in which clients send
writes again; twelve in which policies are set; twenty-four in which clients take hints; and sixteen
in which clients use counters and sets.
"""

from itertools import count, islice

from cluster.simulator import (
    checked_reads,
    conditions,
    disk_copies,
    hinted,
    lifetimes,
    merged_clients,
    policy_changes,
    repeats,
)
from cluster.simulator.campaign import changes_view

A_FEW = 40  # seeds that `make check` plays, too
CHUNK = 10  # seeds a test, so that workers share them evenly
OF_ALL, OF_CHANGES, OF_COPIES, OF_CONDITIONS, OF_LIFETIMES = 100, 500, 200, 100, 60
OF_CHECKED_READS, OF_REPEATS, OF_POLICIES, OF_HINTS, OF_MERGED = 40, 60, 12, 24, 16
SEEDS = [seed for seed in range(OF_CHANGES) if seed < OF_ALL or changes_view(seed)]
SEEDS += islice(filter(disk_copies.is_drawn, count(OF_CHANGES)), OF_COPIES)
SEEDS += islice(filter(conditions.is_drawn, conditions.OF_SUITE), OF_CONDITIONS)
SEEDS += islice(filter(lifetimes.is_drawn, lifetimes.OF_SUITE), OF_LIFETIMES)
SEEDS += islice(filter(checked_reads.is_drawn, checked_reads.OF_SUITE), OF_CHECKED_READS)
SEEDS += islice(filter(repeats.is_drawn, repeats.OF_SUITE), OF_REPEATS)
SEEDS += islice(filter(policy_changes.is_drawn, policy_changes.OF_SUITE), OF_POLICIES)
SEEDS += islice(filter(hinted.is_drawn, hinted.OF_SUITE), OF_HINTS)
SEEDS += islice(filter(merged_clients.is_drawn, merged_clients.OF_SUITE), OF_MERGED)
