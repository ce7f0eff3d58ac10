"""A running cluster, by HTTP: the nodes behind one to three URLs.

The log has what a client sees, and no messages between nodes.  With fewer than three URLs, several
nodes of the story are one.  A partition needs three nodes of one shard that let clients cut them
off (`ENABLE_FAULTS=1`, which `make cluster` sets).
"""

import json
import time
from collections.abc import Sequence
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
TEXT_SHOWN = 12  # characters of a token or a context

NO_FAULTS = (
    "these nodes take no faults. Start them with ENABLE_FAULTS=1, or cut {node} off yourself, as "
    "with `coterie split`, and heal the network after the next step."
)
NOT_THREE = "a partition needs --url three times: for three nodes of one shard."


class RealCluster:
    """The cluster of a story (`cluster.Cluster`)."""

    def __init__(self, urls: Sequence[str], page: Page) -> None:
        """Ask the nodes who they are; raise Unusable if one does not answer."""
        try:
            given = [checked(url) for url in urls]
        except ValueError as error:
            raise Unusable(str(error)) from None
        self._transport = ThreadTransport(thread_http(any(u.startswith("https") for u in given)))
        self._page = page
        named = {f"node{number}": url for number, url in enumerate(given, 1)}
        self.nodes: Sequence[str] = tuple(islice(cycle(named), NODES_WANTED))
        self._urls = named
        self._status = {node: self._json("GET", node, "/v1/status") for node in named}
        self.legend: Sequence[str] = [f"{node} is {url}" for node, url in named.items()]
        self._cut = ""

    def key(self, word: str) -> str:
        """Return a new key, of which all nodes have a replica if there is such a key."""
        first = time.time_ns() // 1_000_000 % 1_000_000
        names = [f"{word}-{first + number}" for number in range(KEYS_TRIED)]
        return next(filter(self._is_at_all, names), names[0])

    def _is_at_all(self, key: str) -> bool:
        """Whether each node answers for the key itself."""
        return all(
            self._ask(node, f"/v1/kv/{key}").headers.get("kv-served-by") == own["address"]
            for node, own in self._status.items()
        )

    def begin_step(self) -> None: ...

    def settle(self) -> None: ...

    def now_ms(self) -> None:
        """Return None: how long this machine takes is no part of a story."""

    def send(self, node: str, request: Request) -> Answer:
        url = self._urls[node] + request.target
        wanted = Send(request.method, url, request.headers, request.body, ANSWERED_S)
        told = self._transport.run(_once(wanted))
        if isinstance(told, NoAnswer):
            words = f"{node} at {self._urls[node]} does not answer: {told.reason}"
            raise Unusable(f"{words}. Start a cluster with `make cluster`, or leave --url out.")
        return told

    def in_short(self, header: str, text: str) -> str:
        """Return the beginning of a token or a context: its text is opaque."""
        is_opaque = header in ("Kv-Token", "Kv-Context") and len(text) > TEXT_SHOWN
        return f"{text[:TEXT_SHOWN]}..." if is_opaque else text

    def cut_off(self, node: str) -> str:
        if len({own["shard"] for own in self._status.values()}) > 1 or len(self._urls) < 3:
            return NOT_THREE
        own = self._status[node]
        others = [each for each in own["view"]["nodes"] if each != own["address"]]
        cut = json.dumps({"cut": others, "ttl_s": CUT_TTL_S}).encode()
        answer = self.send(node, Request("PUT", "/v1/faults", "", (), cut))
        if answer.status != 200:
            return NO_FAULTS.format(node=node)
        self._cut = node
        self._page.remark(f"{node} is cut off from all others.")
        return ""

    def heal(self) -> None:
        if self._cut:
            self.send(self._cut, Request("DELETE", "/v1/faults", "", (), None))
            self._page.remark(f"{self._cut} is connected again.")
            self._cut = ""

    def until_level(self, key: str) -> None:
        """Read one replica at each node, until all show the same versions."""
        deadline = time.monotonic() + LEVEL_S
        while (
            len({self._ask(node, f"/v1/kv/{key}").headers.get("etag") for node in self._urls}) > 1
        ):
            if time.monotonic() > deadline:
                raise Unusable(f"the nodes show different versions of {key} after {LEVEL_S:g} s")
            time.sleep(LOOK_EVERY_S)

    def _ask(self, node: str, path: str) -> Answer:
        """Send a GET that the log does not have."""
        return self.send(node, Request("GET", path, "", (), None))

    def _json(self, method: str, node: str, path: str) -> dict[str, Any]:
        answer = self._ask(node, path)
        try:
            found: dict[str, Any] = json.loads(answer.body)
        except ValueError:
            found = {}
        if not {"address", "shard", "view"} <= found.keys():
            raise Unusable(f"{node} at {self._urls[node]} is no node: {path} has no status")
        return found


def _once(request: Send) -> Steps[Answer | NoAnswer]:
    """Send a request one time."""
    told = yield request
    assert told is not None
    return told
