"""What all parts of one replica share, as one struct."""

import msgspec

from node.core.membership.failure_detector import Detector
from node.core.membership.incarnations import Incarnations
from node.core.membership.known_views import KnownViews
from node.core.protocol.step import Step
from node.core.replication.pull import Repair
from node.core.storage.keyspace import Keyspace


class Services(msgspec.Struct, frozen=True):
    """`step` is the event in hand, `store` what this replica has, `views` what it knows of views,
    `peers` what its shard peers have, `incarnations` which node incarnations at which address, and
    `detector` which nodes can be reached."""

    step: Step
    store: Keyspace
    views: KnownViews
    peers: Repair
    incarnations: Incarnations
    detector: Detector
