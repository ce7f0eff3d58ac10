"""A running cluster, by HTTP: the nodes behind one to three URLs.

The log has what a client sees, and no messages between nodes.  With fewer than three URLs, several
nodes of the story are one.  A partition needs three nodes of one shard that let clients cut them
off (`ENABLE_FAULTS=1`, which `make cluster` sets).  Nodes that want a token get the one in
`COTERIE_TOKEN`, which the log does not show.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import cycle, islice
from typing import Any

from coterie.nodes import checked
from coterie.steps import Answer, NoAnswer, Send, Steps
from coterie.transport import ThreadTransport, thread_http
from examples.stage.cluster import Request, Unusable
from examples.stage.page import Page

NODES_WANTED = 3
ANSWERED_S = 15.0  # longer than a node waits before it refuses a request
LEVEL_S, LOOK_EVERY_S = 20.0, 0.05
CUT_TTL_S = 60.0  # a story that dies leaves no partition for longer
KEYS_TRIED = 40
TOKEN_VARIABLE = "COTERIE_TOKEN"
TEXT_SHOWN = 8  # characters at each end of a token or a context

NO_FAULTS = "these nodes take no faults; start them with ENABLE_FAULTS=1, as `make cluster` does."
NOT_THREE = "a partition needs --url three times, for three nodes of one shard."


class RealCluster:
    """The cluster of a story (`cluster.Cluster`)."""

    def __init__(self, urls: Sequence[str], page: Page) -> None:
        """Take one to three URLs; raise Unusable for what is no URL of a node."""
        try:
            given = [checked(url) for url in urls]
        except ValueError as error:
            raise Unusable(str(error)) from None
        self._transport = ThreadTransport(thread_http(any(u.startswith("https") for u in given)))
        self._page = page
        named = {f"node{number}": url for number, url in enumerate(given, 1)}
        self.nodes: Sequence[str] = tuple(islice(cycle(named), NODES_WANTED))
        self._urls = named
        self.legend: Sequence[str] = [f"{node} is {url}" for node, url in named.items()]
        self._cut = self._key = ""
        token = os.environ.get(TOKEN_VARIABLE, "")
        self._credentials = (("Authorization", f"Bearer {token}"),) if token else ()

    def close(self) -> None:
        self._transport.close()

    @cached_property
    def _status(self) -> dict[str, dict[str, Any]]:
        """What each node says of itself."""
        return {node: self._status_of(node) for node in self._urls}

    def key(self, word: str) -> str:
        """Return a new key, of which all nodes have a replica if there is such a key."""
        first = time.time_ns() // 1_000_000 % 1_000_000
        names = [f"{word}-{first + number}" for number in range(KEYS_TRIED)]
        self._key = next(filter(self._is_at_all, names), names[0])
        return self._key

    def _is_at_all(self, key: str) -> bool:
        """Whether each node answers for the key itself."""
        return all(
            self._look(node, key).get("kv-served-by") == own["address"]
            for node, own in self._status.items()
        )

    def begin_step(self) -> None: ...

    def settle(self) -> None: ...

    def now_ms(self) -> None:
        """Return None: how long this machine takes is no part of a story."""

    def send(self, node: str, request: Request) -> Answer:
        url = self._urls[node] + request.target
        headers = (*request.headers, *self._credentials)
        wanted = Send(request.method, url, headers, request.body, ANSWERED_S)
        told = self._transport.run(_once(wanted))
        if isinstance(told, NoAnswer):
            words = f"{node} at {self._urls[node]} does not answer: {told.reason}"
            raise Unusable(f"{words}. Start a cluster with `make cluster`, or leave --url out.")
        return told

    def in_short(self, header: str, text: str) -> str:
        """Return both ends of a token or a context: its text is opaque."""
        is_opaque = header in ("Kv-Token", "Kv-Context") and len(text) > 2 * TEXT_SHOWN
        return f"{text[:TEXT_SHOWN]}...{text[-TEXT_SHOWN:]}" if is_opaque else text

    def cut_off(self, node: str) -> str:
        own, all_own = self._status[node], self._status.values()
        addresses, shards = ({each[what] for each in all_own} for what in ("address", "shard"))
        if len(addresses) < NODES_WANTED or len(shards) > 1:
            return NOT_THREE
        others = [each for each in own["view"]["nodes"] if each != own["address"]]
        cut = json.dumps({"cut": others, "ttl_s": CUT_TTL_S}).encode()
        answer = self.send(node, Request("PUT", "/v1/faults", "", (), cut))
        if answer.status != 200:
            return NO_FAULTS
        self._cut = node
        self._page.remark(f"{node} is cut off from all others.")
        return ""

    def heal(self) -> None:
        if self._cut:
            self.send(self._cut, Request("DELETE", "/v1/faults", "", (), None))
            self._page.remark(f"{self._cut} is connected again.")
            self._cut = ""

    def until_level(self) -> None:
        """Read one replica at each node, until all show the same versions."""
        deadline = time.monotonic() + LEVEL_S
        while len({self._look(node, self._key).get("etag") for node in self._urls}) > 1:
            if time.monotonic() > deadline:
                raise Unusable(f"the nodes show different versions after {LEVEL_S:g} s")
            time.sleep(LOOK_EVERY_S)

    def _look(self, node: str, key: str) -> Mapping[str, str]:
        """Read the key at a node; return the headers of the answer."""
        return self._ask(node, f"/v1/kv/{key}").headers

    def _ask(self, node: str, path: str) -> Answer:
        """Send a GET that the log does not have."""
        return self.send(node, Request("GET", path, "", (), None))

    def _status_of(self, node: str) -> dict[str, Any]:
        answer = self._ask(node, "/v1/status")
        try:
            found: Any = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or not {"address", "shard", "view"} <= found.keys():
            raise Unusable(f"{node} at {self._urls[node]} is no node: it has no /v1/status")
        return found


def _once(request: Send) -> Steps[Answer | NoAnswer]:
    """Send a request one time."""
    told = yield request
    assert isinstance(told, Answer | NoAnswer)
    return told
