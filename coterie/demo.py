"""Two stories of causality, told by a client of a running cluster: `python -m coterie.demo`.

`causal`: a write, a read of it elsewhere, an update that depends on it, and one beside that; in the
end all nodes show the same.  `order`: messages arrive out of order at one node, which holds back
what has come too early.  Knows HTTP and the contract `causal`, nothing else of the nodes.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiohttp
import orjson

NODES_MIN = 3
ANSWERED_S = 10.0
PATIENCE_S = 15.0  # until what was cut off is level again
LOOK_EVERY_S = 0.02
CUT_TTL_S = 20.0
WENT_WELL, WENT_WRONG, USAGE, UNAVAILABLE = 0, 1, 2, 5

Say = Callable[[str], None]


class Wrong(Exception):
    """The cluster did something else than the story says."""


class Unusable(Exception):
    """There is no cluster here that the story can be told of."""


@dataclass
class Node:
    """One node, as its clients see it."""

    name: str
    url: str
    http: aiohttp.ClientSession
    address: str = ""

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        sent = None if body is None else orjson.dumps(body)
        try:
            async with self.http.request(method, self.url + path, data=sent) as reply:
                return reply.status, orjson.loads(await reply.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
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
            raise Unusable(f"{self.name} at {self.url} does not speak the contract causal")
        found: dict[str, Any] = said
        return found

    async def ignore(self, other: "Node") -> None:
        """Drop what comes from another node and goes to it."""
        cut = {"cut": [other.address], "ttl_s": CUT_TTL_S}
        status, _ = await self.ask("PUT", "/v1/faults", cut)
        if status != 200:
            raise Unusable(f"{self.name} takes no faults: start its node with ENABLE_FAULTS=1")

    async def heal(self) -> None:
        await self.ask("DELETE", "/v1/faults")


@dataclass
class Story:
    """The nodes, and the log of what happens to them."""

    nodes: list[Node]
    say: Say
    began: float = field(default_factory=time.monotonic)

    def log(self, node: Node | None, line: str) -> None:
        at = f"{time.monotonic() - self.began:6.2f} s"
        self.say(f"{at}  {node.name if node else '':<7} {line}")

    async def meet(self) -> None:
        """Who they are, and that each is ready and knows the others."""
        for node in self.nodes:
            await until(partial(is_ready, node), f"{node.name} is not ready")
            node.address = (await node.status())["node_id"]
            self.log(node, f"is {node.address}, at {node.url}")
        everybody = {node.address for node in self.nodes}
        for node in self.nodes:
            if not everybody <= (await node.status())["vector_clock"].keys():
                raise Unusable(f"{node.name} is of another shard: expected one shard of all nodes")

    def clock(self, clock: dict[str, int]) -> str:
        """A vector clock in the order of the nodes."""
        names = {node.address: node.name for node in self.nodes}
        return "[" + " ".join(f"{names.get(a, a)}={n}" for a, n in clock.items()) + "]"

    async def write(self, node: Node, key: str, value: str) -> None:
        await node.put(key, value)
        self.log(node, f'writes {key} = "{value}"')
        await self.tell(node)

    async def read(self, node: Node, key: str, expected: str) -> None:
        """Until the value is there: a moment later, elsewhere."""
        await until(partial(shows, node, key, expected), f"{node.name} does not show {key}")
        self.log(node, f'reads  {key} = "{expected}"')
        await self.tell(node)

    async def tell(self, node: Node) -> dict[str, Any]:
        """The clock of a node, and what it holds back."""
        status = await node.status()
        self.log(node, f"       clock {self.clock(status['vector_clock'])}")
        for message in status["buffer"]:
            line = f'{message["key"]} = "{message["value"]}" {self.clock(message["vector_clock"])}'
            waits = self.clock(message["waits_for"])
            self.log(node, f"       buffer {line}, waits for {waits}")
        return status

    async def agree(self, keys: list[str]) -> dict[str, str | None]:
        """The final state: the same at every node, and nothing is held back."""

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
            self.log(node, f"       store {orjson.dumps(store).decode()}, buffer empty")
        return {key: await self.nodes[0].get(key) for key in keys}


async def is_ready(node: Node) -> bool:
    """Whether it has a view, and has heard of its fellows."""
    status, said = await node.ask("GET", "/status")
    return status != 503 and len(said.get("vector_clock", range(NODES_MIN))) >= NODES_MIN


async def shows(node: Node, key: str, value: str) -> bool:
    return await node.get(key) == value


async def until(condition: Callable[[], Awaitable[bool]], wrong: str) -> None:
    """Ask again and again, for as long as one may have to."""
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise Wrong(f"{wrong}, after {PATIENCE_S:g} s")
        await asyncio.sleep(LOOK_EVERY_S)


def names_of(words: str) -> list[str]:
    """Keys of this run: a story may be told twice of one cluster."""
    return [f"{word}-{time.time_ns() // 1_000_000 % 1_000_000}" for word in words.split()]


@asynccontextmanager
async def apart(story: Story, node: Node, *others: Node) -> AsyncIterator[None]:
    """The node does not hear of these others meanwhile."""
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
    """A write, an update that depends on it, and one that does not know of that."""
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
    """An answer comes before its question, and waits for it."""
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
    """Reads two keys of one node again and again, the effect first, and counts what it sees."""

    node: Node
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
async def reading(node: Node, effect: str, cause: str) -> AsyncIterator[Reader]:
    """Somebody reads meanwhile."""
    reader = Reader(node, effect, cause)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def is_buffered(node: Node, key: str) -> bool:
    return any(message["key"] == key for message in (await node.status())["buffer"])


# ------------------------------------------------------------------ the command

STORIES = {"causal": causal, "order": order}


async def told(name: str, urls: list[str], say: Say) -> None:
    """Tell one story of the nodes at these URLs."""
    timeout = aiohttp.ClientTimeout(total=ANSWERED_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        nodes = [Node(f"node {n}", url.rstrip("/"), http) for n, url in enumerate(urls)]
        story = Story(nodes, say)
        say(f"{name}: {STORIES[name].__doc__}")
        await story.meet()
        await STORIES[name](story)
        story.log(None, f"{name}: as it should be")


def main(argv: list[str] | None = None) -> int:
    """Gives the exit code: 0 well, 1 wrong, 2 usage, 5 no cluster to tell it of."""
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
