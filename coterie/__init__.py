"""The client of a Coterie cluster, for programs: `from coterie import Client`.

    client          Client and Session: a thread makes the calls
    one_key, many_keys, cluster_calls   the calls that a session has
    thread_calls    how they are made;  async_..., task_calls: all of this with await
    session_core    what both do with a call, without I/O
    retries         the conversation of a call with the nodes: which is asked, when again, how long
    key_lists, bulk the conversations of streams: lists, and batches of operations
    calls, answers, documents   from arguments to requests, and from answers to results and errors
    snapshots, policies, merged the same of these requests;  operations: what a bulk is made of
    watching        the conversation of a watch;  exports: those of exports and imports
    merged_handles  counters and sets
    seen, nodes     what a session has seen; which node has its turn
    values, errors  what calls return and raise;  resolvers: make one value of several
    steps           what a conversation asks for;  transport: takes these steps, over HTTP
    lines           lines of an answer that comes part by part
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
    Incomplete,
    KeyReused,
    NotEmpty,
    OutOfBounds,
    PreconditionFailed,
    Problem,
    Reset,
    TooLarge,
    TooManySiblings,
    Unavailable,
    Unexpected,
    Unmet,
)
from coterie.exports import Imported, ImportFailure
from coterie.merged import Counted, Members, Scalar
from coterie.merged_handles import AsyncCounter, AsyncSet, Counter, Set
from coterie.operations import Delete, Done, Get, Operation, Put
from coterie.policies import Policy
from coterie.resolvers import Resolver
from coterie.retries import Patience
from coterie.seen import NOTHING
from coterie.session_core import Edit
from coterie.snapshots import Snapshot
from coterie.task_calls import AsyncItems, AsyncListed, AsyncWatch
from coterie.thread_calls import Items, Listed, Watch
from coterie.values import Group, Head, Missing, Sibling, Value, Written
from coterie.watching import Change, Shown

__all__ = [
    "NOTHING",
    "SEEN",
    "Absent",
    "AsyncClient",
    "AsyncCounter",
    "AsyncItems",
    "AsyncListed",
    "AsyncSession",
    "AsyncSet",
    "AsyncWatch",
    "BadRequest",
    "Change",
    "Client",
    "Conflict",
    "Context",
    "ContextWanted",
    "CoterieError",
    "Counted",
    "Counter",
    "Delete",
    "Done",
    "Edit",
    "Get",
    "Group",
    "Head",
    "ImportFailure",
    "Imported",
    "Incomplete",
    "Items",
    "KeyReused",
    "Listed",
    "Members",
    "Missing",
    "NotEmpty",
    "OnMiss",
    "Operation",
    "OutOfBounds",
    "Patience",
    "Policy",
    "PreconditionFailed",
    "Problem",
    "Put",
    "ReadLevel",
    "Reset",
    "Resolver",
    "Scalar",
    "Session",
    "Set",
    "Shown",
    "Sibling",
    "Snapshot",
    "TooLarge",
    "TooManySiblings",
    "Unavailable",
    "Unexpected",
    "Unmet",
    "Value",
    "Watch",
    "WriteLevel",
    "Written",
]
