"""Four simulated nodes in two shards, asked over the native API by its own handlers.

All of it is the same in every run: names, dots and times, and therefore ids and tokens.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from multidict import CIMultiDict, MultiDict

from node.api.contract import Ask, Call, Facts, Limits, Refused, Reply
from node.api.native.explain import explanations
from node.api.native.key_values import key_values
from node.core import status
from node.core.protocol.operations import Outcome
from node.shell.http.router import Table, decoded
from tests.conversations.play import Play

LIMITS = Limits(1_000_000, 20.0)
TABLE = Table([key_values(), explanations()])
TEXT = {"Content-Type": "text/plain"}
PASSES_S = 1.5  # longer than an explanation waits


class Site:
    """A cluster: alice and bob (a1, a2) have the key "pear", carol and dave (b1, b2) do not."""

    names: Mapping[str, str] = {"a1": "alice", "a2": "bob", "b1": "carol", "b2": "dave"}

    def __init__(self) -> None:
        self._play = Play()
        self.do("cluster shards=2 members=2")
        self._play.stage.words.name_key("pear")

    def do(self, *commands: str) -> None:
        """Do what these commands of a conversation say."""
        self._play.perform(list(commands))

    def facts(self, node: str) -> Facts:
        driver = self._play.stage.driver(node)
        replica, now = driver.replica, driver.now()
        return Facts(
            address=node,
            view=replica.view,
            alive=tuple,
            cluster=replica.keyspace.name,
            now=now,
            node_of=partial(status.node_of, replica),
            packed=replica.keyspace.runs.pack_past,
        )

    def begin(
        self,
        node: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: str = "",
    ) -> list[Reply]:
        """Make a request; return the list to which its answer is added."""
        endpoint, placeholders = TABLE.find(method, quote(path)) or (None, {})
        assert endpoint is not None
        assert endpoint.handler is not None
        words, replies = decoded(placeholders), list[Reply]()
        assert words is not None
        asked = MultiDict(query or {}), CIMultiDict(headers or {}), body.encode()
        call = Call(method, words, *asked, partial(self.facts, node), LIMITS)
        try:
            ask = endpoint.handler(call)
        except Refused as refused:
            return [refused.reply]
        assert isinstance(ask, Ask)

        def done(outcome: Outcome) -> None:
            try:
                replies.append(ask.say(outcome))
            except Refused as refused:
                replies.append(refused.reply)

        self._play.stage.driver(node).submit(ask.request, done)
        self.do("deliver")
        return replies

    def ask(self, node: str, method: str, path: str, **more: Any) -> Reply:
        """Make a request and let time pass until it is answered."""
        replies = self.begin(node, method, path, **more)
        if not replies:
            self.do(f"run {PASSES_S}")
        [reply] = replies
        return reply

    def put(self, node: str, value: str, **headers: str) -> dict[str, Any]:
        """Write the pear; return the body of the answer."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        reply = self.ask(node, "PUT", "/v1/kv/pear", headers={**TEXT, **named}, body=value)
        assert reply.status in (200, 201), reply.body
        said: dict[str, Any] = json.loads(reply.body)
        return said

    def explain(self, node: str, token: str = "") -> dict[str, Any]:
        """Ask why the pear shows what it shows."""
        headers = {"Kv-Token": token} if token else {}
        reply = self.ask(node, "GET", "/v1/explain/pear", headers=headers)
        assert reply.status == 200, reply.body
        said: dict[str, Any] = json.loads(reply.body)
        return said
