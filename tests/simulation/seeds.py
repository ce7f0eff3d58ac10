"""The seeds of the suite: the first hundred, and others for view changes and for copied disks.

Of the first five hundred, those in which the view changes; and two hundred in which disks are
copied and put back, and nodes crash in loops.
"""

from itertools import count, islice

from cluster.simulator import disk_copies
from cluster.simulator.campaign import changes_view

A_FEW = 40  # seeds that `make check` plays, too
CHUNK = 10  # seeds a test, so that workers share them evenly
OF_ALL, OF_CHANGES, OF_COPIES = 100, 500, 200
SEEDS = [seed for seed in range(OF_CHANGES) if seed < OF_ALL or changes_view(seed)]
SEEDS += islice(filter(disk_copies.is_drawn, count(OF_CHANGES)), OF_COPIES)
