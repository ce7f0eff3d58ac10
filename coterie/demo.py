"""Play two stories of causality on a running cluster, as its client: `python -m coterie.demo`.

`causal`: one node takes a write, another node shows it, and two clients update it concurrently.  In
the end all nodes show the same value.  `order`: an answer reaches a node before its question, and
the node holds it back.  This program knows HTTP and the causal contract, and nothing else of the
nodes.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2

NODES_MIN = 3
ANSWERED_S = 10.0
PATIENCE_S = 15.0  # a node that was cut off has caught up by then
LOOK_EVERY_S = 0.02
CUT_TTL_S = 20.0
WENT_WELL, WENT_WRONG, USAGE, UNAVAILABLE = 0, 1, 2, 5

Say = Callable[[str], None]


class Wrong(Exception):
    """The cluster did not do what the story says."""


class Unusable(Exception):
    """The story cannot be played: no cluster answers, or it does not speak the causal contract."""


@dataclass
class NodeClient:
    """One node, as its clients see it."""

    name: str
    url: str
    http: httpx2.AsyncClient
    address: str = ""

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request; return the status and the JSON of the answer."""
        sent = None if body is None else json.dumps(body)
        try:
            reply = await self.http.request(method, self.url + path, content=sent)
            return reply.status_code, reply.json()
        except (httpx2.TransportError, ValueError) as error:
            raise Unusable(f"{self.name} at {self.url} does not answer: {error}") from error

    async def put(self, key: str, value: str) -> None:
        status, said = await self.ask("POST", "/put", {"key": key, "value": value})
        if status != 200:
            raise Wrong(f"{self.name} did not take the write: {status} {said}")

    async def get(self, key: str) -> str | None:
        status, said = await self.ask("GET", f"/get/{key}")
        if status not in (200, 404):
            raise Wrong(f"{self.name} did not answer the read: {status} {said}")
        return said["value"] if status == 200 else None

    async def status(self) -> dict[str, Any]:
        status, said = await self.ask("GET", "/status")
        if status != 200 or "vector_clock" not in said:
            raise Unusable(f"{self.name} at {self.url} does not speak the causal contract")
        found: dict[str, Any] = said
        return found

    async def ignore(self, other: "NodeClient") -> None:
        """Let this node drop all messages from and to the other node."""
        cut = {"cut": [other.address], "ttl_s": CUT_TTL_S}
        status, _ = await self.ask("PUT", "/v1/faults", cut)
        if status != 200:
            raise Unusable(f"{self.name} takes no faults: start its node with ENABLE_FAULTS=1")

    async def heal(self) -> None:
        await self.ask("DELETE", "/v1/faults")


@dataclass
class Story:
    """The nodes of the story, and the log of what happens at them."""

    nodes: list[NodeClient]
    say: Say
    began: float = field(default_factory=time.monotonic)

    def log(self, node: NodeClient | None, line: str) -> None:
        at = f"{time.monotonic() - self.began:6.2f} s"
        self.say(f"{at}  {node.name if node else '':<7} {line}")

    async def meet(self) -> None:
        """Learn the nodes' addresses, and check that each is ready and knows the others."""
        for node in self.nodes:
            await until(partial(is_ready, node), f"{node.name} is not ready")
            node.address = (await node.status())["node_id"]
            self.log(node, f"is {node.address}, at {node.url}")
        everybody = {node.address for node in self.nodes}
        for node in self.nodes:
            if not everybody <= (await node.status())["vector_clock"].keys():
                raise Unusable(f"{node.name} is of another shard: expected one shard of all nodes")

    def clock(self, clock: dict[str, int]) -> str:
        """Show a vector clock, its entries by the names of the nodes."""
        names = {node.address: node.name for node in self.nodes}
        return "[" + " ".join(f"{names.get(a, a)}={n}" for a, n in clock.items()) + "]"

    async def write(self, node: NodeClient, key: str, value: str) -> None:
        await node.put(key, value)
        self.log(node, f'writes {key} = "{value}"')
        await self.tell(node)

    async def read(self, node: NodeClient, key: str, expected: str) -> None:
        """Wait until the node shows this value, and log the read."""
        await until(partial(shows, node, key, expected), f"{node.name} does not show {key}")
        self.log(node, f'reads  {key} = "{expected}"')
        await self.tell(node)

    async def tell(self, node: NodeClient) -> dict[str, Any]:
        """Log the node's clock and the messages that it holds back; return its status."""
        status = await node.status()
        self.log(node, f"       clock {self.clock(status['vector_clock'])}")
        for message in status["buffer"]:
            line = f'{message["key"]} = "{message["value"]}" {self.clock(message["vector_clock"])}'
            waits = self.clock(message["waits_for"])
            self.log(node, f"       buffer {line}, waits for {waits}")
        return status

    async def agree(self, keys: list[str]) -> dict[str, str | None]:
        """Wait until every node shows the same and holds nothing back; return the final values."""

        async def level() -> bool:
            statuses = [await node.status() for node in self.nodes]
            stores = [[status["kv_store"].get(key) for key in keys] for status in statuses]
            clocks = [status["vector_clock"] for status in statuses]
            is_level = all(each == stores[0] for each in stores)
            is_level = is_level and all(clock == clocks[0] for clock in clocks)
            return is_level and not any(status["buffer"] for status in statuses)

        await until(level, "the nodes do not come to show the same")
        self.log(None, "the final state")
        for node in self.nodes:
            status = await self.tell(node)
            store = {key: status["kv_store"].get(key) for key in keys}
            self.log(node, f"       store {json.dumps(store)}, buffer empty")
        return {key: await self.nodes[0].get(key) for key in keys}


async def is_ready(node: NodeClient) -> bool:
    """Whether the node has a view and has heard from the other nodes."""
    status, said = await node.ask("GET", "/status")
    return status != 503 and len(said.get("vector_clock", range(NODES_MIN))) >= NODES_MIN


async def shows(node: NodeClient, key: str, value: str) -> bool:
    return await node.get(key) == value


async def until(condition: Callable[[], Awaitable[bool]], wrong: str) -> None:
    """Ask until the condition holds; raise `Wrong` after the time that a cluster may take."""
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise Wrong(f"{wrong}, after {PATIENCE_S:g} s")
        await asyncio.sleep(LOOK_EVERY_S)


def names_of(words: str) -> list[str]:
    """Make keys of this run, so that a story can be played twice on one cluster."""
    return [f"{word}-{time.time_ns() // 1_000_000 % 1_000_000}" for word in words.split()]


@asynccontextmanager
async def apart(story: Story, node: NodeClient, *others: NodeClient) -> AsyncIterator[None]:
    """Cut the node off from these others while the block runs."""
    for other in others:
        await node.ignore(other)
    story.log(node, f"is cut off from {' and '.join(other.name for other in others)}")
    try:
        yield
    finally:
        await node.heal()
    story.log(node, "is connected again")


# ------------------------------------------------------------------ the stories


async def causal(story: Story) -> None:
    """A write, an update that depends on it, and a concurrent update that has not seen that one."""
    zero, one, two = story.nodes[:NODES_MIN]
    [cart] = names_of("cart")
    await story.write(zero, cart, "tea")
    await story.read(one, cart, "tea")
    await story.read(two, cart, "tea")
    async with apart(story, two, zero, one):
        await story.write(one, cart, "tea, milk")
        story.log(one, "       it depends on what was read here")
        await story.write(two, cart, "tea, bread")
        story.log(two, "       it is concurrent: neither of the two writers has seen the other")
    final = await story.agree([cart])
    if final[cart] not in ("tea, milk", "tea, bread"):
        raise Wrong(f"the nodes show {final[cart]!r}: what was replaced has come back")
    story.log(None, f'all nodes show "{final[cart]}": one of the concurrent updates, the same one')


async def order(story: Story) -> None:
    """An answer reaches a node before its question; the node shows it after the question."""
    zero, one, two = story.nodes[:NODES_MIN]
    question, answer = names_of("question answer")
    async with apart(story, two, zero):
        await story.write(zero, question, "who is there?")
        await story.read(one, question, "who is there?")
        async with reading(two, answer, question) as reader:
            await story.write(one, answer, "it is me")
            await until(partial(is_buffered, two, answer), f"{two.name} buffers nothing")
            await story.tell(two)
            story.log(two, "       the answer is here before its question: it is not shown")
            await until(reader.has_both, f"{two.name} does not show question and answer")
            story.log(two, "       the question has come by another way: both are shown")
            await story.tell(two)
    story.log(two, f"       {reader.reads} reads of both meanwhile, the last ones saw both")
    if reader.alone:
        raise Wrong(f"{reader.alone} reads saw the answer without its question")
    await story.agree([question, answer])


@dataclass
class Reader:
    """Reads two keys at one node again and again, the effect first, and counts what it sees."""

    node: NodeClient
    effect: str
    cause: str
    reads: int = 0
    alone: int = 0
    both: int = 0

    async def run(self) -> None:
        while True:
            effect = await self.node.get(self.effect)
            cause = await self.node.get(self.cause)
            self.reads += 1
            self.both += effect is not None and cause is not None
            self.alone += effect is not None and cause is None

    async def has_both(self) -> bool:
        return self.both > 0


@asynccontextmanager
async def reading(node: NodeClient, effect: str, cause: str) -> AsyncIterator[Reader]:
    """Read both keys at the node while the block runs."""
    reader = Reader(node, effect, cause)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def is_buffered(node: NodeClient, key: str) -> bool:
    return any(message["key"] == key for message in (await node.status())["buffer"])


# ------------------------------------------------------------------ the command

STORIES = {"causal": causal, "order": order}


async def told(name: str, urls: list[str], say: Say) -> None:
    """Play one story with the nodes at these URLs."""
    async with httpx2.AsyncClient(timeout=ANSWERED_S, trust_env=False) as http:
        nodes = [NodeClient(f"node {n}", url.rstrip("/"), http) for n, url in enumerate(urls)]
        story = Story(nodes, say)
        say(f"{name}: {STORIES[name].__doc__}")
        await story.meet()
        await STORIES[name](story)
        story.log(None, f"{name}: as it should be")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0 for success, 1 for a wrong story, 2 for usage, 5 for no cluster."""
    parser = argparse.ArgumentParser(prog="python -m coterie.demo", description=__doc__)
    parser.add_argument("story", choices=STORIES)
    parser.add_argument(
        "--urls",
        default=os.environ.get("COTERIE_URLS", ""),
        help="of three nodes or more of one shard that speak causal, with commas between them"
        " (default: COTERIE_URLS)",
    )
    chosen = parser.parse_args(argv)
    urls = [url.strip() for url in chosen.urls.split(",") if url.strip()]
    if len(urls) < NODES_MIN:
        print(f"coterie.demo: expected the URLs of {NODES_MIN} nodes, by --urls", file=sys.stderr)
        return USAGE
    try:
        asyncio.run(told(chosen.story, urls, partial(print, flush=True)))
    except Wrong as wrong:
        print(f"coterie.demo: {wrong}", file=sys.stderr)
        return WENT_WRONG
    except Unusable as problem:
        print(f"coterie.demo: {problem}", file=sys.stderr)
        return UNAVAILABLE
    return WENT_WELL


if __name__ == "__main__":
    sys.exit(main())
