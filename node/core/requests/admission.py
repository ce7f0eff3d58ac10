"""Checks what a client claims before the node keeps any of it: is the token of this cluster, and
can a node have named the writes in it?

A node refuses a token as "of another cluster" only when it knows the cluster names of all nodes of
its views.  Before that it answers "not known yet".  That answer is definite, too: nothing was kept.
If the token has our cluster's name, the node waits for writes of nodes that it does not know yet.
(protocol D9; docs/decisions/0028.)
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from msgspec.structs import replace

from node.core.membership.known_views import KnownViews
from node.core.membership.services import Services
from node.core.model.actors import Actor, short_of
from node.core.model.cluster_name import pieces
from node.core.model.dots import Dot
from node.core.model.hlc import NO_TIMESTAMP, bounded
from node.core.model.item import Past
from node.core.model.keys import is_plain, slot_of
from node.core.model.token import Token
from node.core.protocol.inspection import Explain, Recognize
from node.core.protocol.messages import WantRuns
from node.core.protocol.operations import (
    Get,
    List,
    ListKeys,
    Put,
    Rejected,
    StoreLocally,
    Unavailable,
)
from node.core.storage.keyspace import Keyspace
from node.core.storage.past_runs import UnknownRuns

FOREIGN = Rejected("this token is of another cluster: begin a new session")
NOT_KNOWN = Unavailable(
    "it is not known here yet whether this token is of this cluster: not all of its nodes have"
    " been heard of; try again",
    definite=True,
)
UNKNOWN_RUNS = Unavailable(
    "this node does not know yet which runs of other nodes the context names; try again",
    definite=True,
)
NO_VIEW_YET = Unavailable("this node has not been told its view yet", definite=True)
RESERVED_KEY = Rejected("this key is that of a counter or a set")
NO_PAST, NO_TOKEN = Past(), Token()


class Admission:
    """The entrance for one replica's clients; `perform` does an operation that is let in."""

    def __init__(self, services: Services, perform: Callable[[int, Any], None]) -> None:
        self._views, self._keyspace, self._step = services.views, services.store, services.step
        self._perform = perform

    def admit(self, request: int, operation: Any) -> None:
        """Do what the client asks, or refuse it and keep nothing of it."""
        if not self._views.view.shards:
            self._step.reply(request, NO_VIEW_YET)
            return
        if _is_reserved(operation):
            self._step.reply(request, RESERVED_KEY)
            return
        if _claims_nothing(operation):
            self._perform(request, operation)
            return
        refusal = self._refusal(operation)
        if refusal is not None:
            self._step.reply(request, refusal)
            return
        token = getattr(operation, "token", NO_TOKEN)
        if token.view > self._views.view.id:
            self._views.history.hear_of(token.view)
        if self._keyspace.runs.unknown_in(token):
            self._ask_for_runs()
        try:
            counting = self._with_what_counts(operation)
        except UnknownRuns:
            self._ask_for_runs()
            self._step.reply(request, UNKNOWN_RUNS)
            return
        self._perform(request, counting)

    def _ask_for_runs(self) -> None:
        for peer in self._views.peers():
            self._step.ask(peer, WantRuns())

    def _refusal(self, operation: Any) -> Rejected | Unavailable | None:
        match operation:
            case Put(token=token, context=context) | Recognize(token=token, context=context):
                pass
            case Get(token=token) | List(token=token) | ListKeys(token=token):
                context = NO_PAST
            case Explain(token=token):
                context = NO_PAST
            case StoreLocally(clock=clock):
                dots = [dot for dot in clock.items() if dot[0] == self._keyspace.actor]
                return self._reject(_above(dots, self._keyspace))
            case _:
                return None
        if token or token.name or token.timestamp != NO_TIMESTAMP or context:
            unknown = self._unlike_ours(token, context)
            if unknown is not None or getattr(operation, "foretold", False):
                return unknown
            return self._reject(impossible(token, context, self._views, self._keyspace))
        return None

    def _reject(self, problem: str) -> Rejected | None:
        return Rejected(problem) if problem else None

    def _unlike_ours(self, token: Token, context: Past) -> Rejected | Unavailable | None:
        """The refusal of a token with foreign names, or None.  A token without names, such as that
        of a version, and the context beside it are judged by the nodes whose dots are in them."""
        if token.name == self._keyspace.name != "":
            return None
        shorts = pieces(token.name) or [short_of(actor) for actor in _actors(token, context)]
        if all(self._views.knows_name(short) for short in shorts):
            return None
        return FOREIGN if self._views.knows_all_names() else NOT_KNOWN

    def _with_what_counts(self, operation: Any) -> Any:
        """The operation without a timestamp that is further ahead than clocks can be apart, and
        with all runs that its context stands for.  Raises UnknownRuns."""
        if isinstance(operation, Put | Recognize) and operation.context:
            context = self._keyspace.runs.unpack_past(operation.context)
            if context is not operation.context:
                operation = replace(operation, context=context)
        token = getattr(operation, "token", None)
        if (
            token is None
            or (timestamp := bounded(token.timestamp, self._step.now)) == token.timestamp
        ):
            return operation
        return replace(operation, token=replace(token, timestamp=timestamp))


def _is_reserved(operation: Any) -> bool:
    """Whether it writes a value where the state of a counter or a set is."""
    if not isinstance(operation, Put | StoreLocally) or is_plain(operation.key):
        return False
    return isinstance(operation, StoreLocally) or operation.change is None


def _claims_nothing(operation: Any) -> bool:
    """Whether it is a read or a write whose client has sent neither a token nor a context."""
    if isinstance(operation, Get):
        return operation.token == NO_TOKEN
    if isinstance(operation, Put):
        return operation.token == NO_TOKEN and operation.context == NO_PAST
    return False


def impossible(token: Token, context: Past, views: KnownViews, keyspace: Keyspace) -> str:
    """Describe a write that the client claims and that no node can have named; empty if there is
    none."""
    if token == NO_TOKEN and context == NO_PAST:
        return ""
    dots = chain(token.floor.items(), token.exact, context.base.items(), context.loose)
    own = _above(dots, keyspace)
    if own or not views.may_name():  # the view of its settings may be another than that of all
        return own
    actors = {*token.floor, *(actor for actor, _ in token.exact)}
    slots = {actor: views.slots_of_actor(actor) for actor in actors}
    for dot, key_hash in token.exact.items():
        owned = slots[dot[0]]
        if owned is not None and not owned >> slot_of(key_hash) & 1:
            return _never(dot)
    return next((_never(dot) for dot in token.floor.items() if slots[dot[0]] == 0), "")


def _above(dots: Iterable[Dot], keyspace: Keyspace) -> str:
    """Complain about a dot of our own that this node has not named."""
    actor, named = keyspace.actor, keyspace.counter
    return next((_never(dot) for dot in dots if dot[0] == actor and dot[1] > named), "")


def _never(dot: Dot) -> str:
    return f"no node ever named write {dot[1]} of {dot[0]} there: begin a new session"


def _actors(token: Token, context: Past) -> set[Actor]:
    """The actors whose dots or timestamp are in a token or a context."""
    actors = {*token.floor, *context.base}
    actors.update(actor for actor, _ in chain(token.exact, context.loose))
    if token.timestamp[2]:
        actors.add(token.timestamp[2])
    return actors
