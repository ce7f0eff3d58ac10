"""Actors: the names under which nodes write.

An actor is one run of a node in one view, and its text says all three.  `Xk3f9ab7Q_x2.4` is the
node `Xk3f9a` in its run `b7Q_x2` in view 4, `Xk3f9a.4` its incarnation in that view.  (protocol
D1.)
"""

import base64
import re
from functools import lru_cache
from hashlib import blake2b

from node.core.model.view import FIRST, ViewId

Actor = str
HEAD = ":"  # in the name of a head of past runs, and of no actor
SHORT_CHARACTERS = 6  # of a node id, and of a run, in the name of an actor
ACTOR = re.compile(r"[A-Za-z0-9_-]{6,}(:[A-Za-z0-9_-]{8})?\.[0-9]{1,10}(\.[A-Za-z0-9_-]{1,6})?")


@lru_cache(maxsize=4096)
def short_name(node_id: str) -> str:
    """Six characters for a node id of many."""
    digest = blake2b(node_id.encode(), digest_size=6).digest()
    return base64.urlsafe_b64encode(digest).decode()[:SHORT_CHARACTERS]


@lru_cache(maxsize=4096)
def actor_of(view: ViewId, node_id: str, run: str = "") -> Actor:
    """The name of one run of a node in one view, which no other run has (D1).  Without a run it
    names the node's incarnation in that view."""
    return f"{short_name(node_id)}{run}.{view}"


@lru_cache(maxsize=4096)
def is_actor(text: str) -> bool:
    """Whether this text may name an actor, or a head of past runs."""
    return ACTOR.fullmatch(text) is not None


def short_of(actor: Actor) -> str:
    """The short name of the node that writes as this actor."""
    return actor.partition(".")[0][:SHORT_CHARACTERS]


@lru_cache(maxsize=8192)
def incarnation_of(actor: Actor) -> Actor:
    """The incarnation that this actor is a run of: the name of its node in its view."""
    name, dot, view = actor.partition(".")
    return f"{name[:SHORT_CHARACTERS]}{dot}{view}"


@lru_cache(maxsize=4096)
def view_of(actor: Actor) -> ViewId:
    """The view in which this actor, or this incarnation, writes."""
    _, _, rest = actor.partition(".")
    number, _, proposer = rest.partition(".")
    return ViewId(int(number), proposer) if number.isdecimal() else FIRST
