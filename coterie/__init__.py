"""The client of a Coterie cluster, for programs: `from coterie import Client`.

    client          Client and Session: a thread makes the calls
    async_client    AsyncClient and AsyncSession: the same with await
    session_core    what both do with a call, without I/O
    retries         the conversation of a call with the nodes: which is asked, when again, how long
    calls, answers  from arguments to requests, and from answers to results and errors
    seen, nodes     what a session has seen; which node has its turn
    values, errors  what calls return and raise;  resolvers: make one value of several
    steps           what a conversation asks for;  transport: takes these steps, over HTTP
    command, demo   the `coterie` command of a checkout; two stories of causality

Read client, session_core, retries.  The package imports nothing of the nodes: it knows docs/api.md.
"""

from coterie.async_client import AsyncClient, AsyncSession
from coterie.calls import SEEN, Context, OnMiss, ReadLevel, WriteLevel
from coterie.client import Client, Session
from coterie.errors import (
    Absent,
    BadRequest,
    Conflict,
    ContextWanted,
    CoterieError,
    KeyReused,
    PreconditionFailed,
    Problem,
    TooLarge,
    TooManySiblings,
    Unavailable,
    Unexpected,
    Unmet,
)
from coterie.resolvers import Resolver
from coterie.retries import Patience
from coterie.seen import NOTHING
from coterie.session_core import Edit
from coterie.values import Head, Missing, Sibling, Value, Written

__all__ = [
    "NOTHING",
    "SEEN",
    "Absent",
    "AsyncClient",
    "AsyncSession",
    "BadRequest",
    "Client",
    "Conflict",
    "Context",
    "ContextWanted",
    "CoterieError",
    "Edit",
    "Head",
    "KeyReused",
    "Missing",
    "OnMiss",
    "Patience",
    "PreconditionFailed",
    "Problem",
    "ReadLevel",
    "Resolver",
    "Session",
    "Sibling",
    "TooLarge",
    "TooManySiblings",
    "Unavailable",
    "Unexpected",
    "Unmet",
    "Value",
    "WriteLevel",
    "Written",
]
