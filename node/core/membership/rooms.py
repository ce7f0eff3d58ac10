"""The parts of membership, made in the order of their dependencies."""

import random

import msgspec

from node.core.membership.bootstrap import Bootstrap
from node.core.membership.closing import Closing
from node.core.membership.disk_identity import Identity
from node.core.membership.gossip import Gossiping
from node.core.membership.leaving import Leaving
from node.core.membership.services import Services


class Membership(msgspec.Struct, frozen=True):
    """The parts of membership that the folders above use, beside `Services`."""

    bootstrap: Bootstrap
    identity: Identity
    gossip: Gossiping
    closing: Closing
    leaving: Leaving


def membership_of(services: Services, chance: random.Random) -> Membership:
    """The parts of one replica."""
    bootstrap, identity = Bootstrap(services), Identity(services)
    gossip, closing = Gossiping(services, identity, chance), Closing(services)
    leaving = Leaving(services, identity, gossip, closing)
    return Membership(bootstrap, identity, gossip, closing, leaving)
