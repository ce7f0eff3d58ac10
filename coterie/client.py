"""The client for threads: `Client`, and the sessions that it makes.

Every call takes as long as `timeout` says at most, and raises a `CoterieError` (see `errors`).
`async_client` has the same surface with await.
"""

import random
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from coterie.calls import OnMiss, ReadLevel, WriteLevel
from coterie.cluster_calls import ClusterCalls
from coterie.many_keys import ManyKeys
from coterie.merged_handles import Counter, Set
from coterie.nodes import Nodes
from coterie.one_key import OneKey
from coterie.retries import Patience, World
from coterie.session_core import Defaults, SessionCore
from coterie.transport import ThreadHttp, ThreadTransport, thread_http


class Session(OneKey, ManyKeys, ClusterCalls):
    """A session: each call sees what earlier calls have written or read, at any node.

    Threads may share a session; at most 32 of its calls are under way at the same time.
    """

    def session(self, token: str = "") -> "Session":
        """Return another session over the same connections.

        It has seen nothing, or what the session has seen whose `token` is given.
        """
        return Session(SessionCore(self._core.world, self._core.defaults, token), self._transport)

    def counter(self, key: str) -> Counter:
        """Return a handle of a counter: `kv.counter("hits").add(5)`.

        Counters have keys of their own: `get` does not show them.
        """
        return Counter(self, key)

    def set(self, key: str) -> Set:
        """Return a handle of a set: `kv.set("tags").add("red", "blue")`.

        Sets have keys of their own: `get` does not show them.
        """
        return Set(self, key)


class Client(Session):
    """A client of a cluster, and its first session.

    `with Client(["http://localhost:8082", "http://localhost:8085"]) as kv: kv.put("cart", [])`
    """

    def __init__(
        self,
        nodes: str | Sequence[str],
        *,
        w: WriteLevel | None = None,
        r: ReadLevel | None = None,
        timeout: float = 20.0,
        on_miss: OnMiss | None = None,
        token: str = "",
        patience: Patience | None = None,
        http: ThreadHttp | None = None,
        api_token: str = "",
        ca: str = "",
    ) -> None:
        """Take the URLs of some or all nodes of one cluster; nothing is sent yet.

        `w`, `r`, `timeout` (seconds, up to 300) and `on_miss` are those of calls that say nothing
        else.  `token`: of a session that this one continues.  `api_token`: the bearer token of this
        client, where nodes want one.  `ca`: a file with the authority of the nodes' certificates,
        instead of those of this machine.  `http`: a client of httpx2, with certificates, headers
        or proxies of your own, instead of these two; the caller closes it.

        Raises ValueError for what is no URL of a node, no timeout, no token or no authority.
        """
        chance = random.SystemRandom()
        first = chance.randrange(1 << 16)
        known = Nodes([nodes] if isinstance(nodes, str) else nodes, time.monotonic, first)
        world = World(known, time.monotonic, chance, patience or Patience())
        core = SessionCore(world, Defaults(w, r, timeout, on_miss), token)
        self._is_own = http is None
        super().__init__(
            core, ThreadTransport(http or thread_http(known.is_encrypted, api_token, ca))
        )

    def close(self) -> None:
        """Close all connections, also those of the other sessions."""
        if self._is_own:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
