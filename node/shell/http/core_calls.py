"""How the port asks the core: one request, many at once, or step by step."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from node.core.model.view import View
from node.core.protocol.operations import Outcome, Request
from node.driver import Driver

BEGUN_AT_ONCE = 128  # requests of one client

Questions = Sequence[Request] | float
Said = TypeVar("Said")
Check = Callable[[Request, View], None]  # raises Refused


class CoreCalls:
    """Asks a node's core; `check` is asked first, where there is one."""

    def __init__(self, driver: Driver, check: Check | None) -> None:
        self._driver, self._check = driver, check
        self._new_future: Callable[[], asyncio.Future[Any]] = asyncio.Future

    def start(self) -> None:
        """Make futures as the loop that runs now makes them."""
        self._new_future = asyncio.get_running_loop().create_future

    def outcome(self, request: Request) -> asyncio.Future[Outcome]:
        """Ask one request; raises Refused."""
        if self._check is not None:
            self._check(request, self._driver.replica.view)
        answer: asyncio.Future[Outcome] = self._new_future()
        self._driver.submit(request, partial(_resolve, answer))
        return answer

    async def talk(self, steps: Generator[Questions, Sequence[Outcome], Said]) -> Said:
        """Go step by step to the reply; a client that goes away ends this between two steps."""
        try:
            wanted = next(steps)
            while True:
                outcomes: list[Outcome] = []
                if isinstance(wanted, float):
                    await asyncio.sleep(wanted)
                else:
                    outcomes = await self.outcomes(wanted)
                wanted = steps.send(outcomes)
        except StopIteration as end:
            said: Said = end.value
            return said

    async def outcomes(self, requests: Sequence[Request]) -> list[Outcome]:
        """Do all of these; where they are many, other clients have their turns in between."""
        asked = []
        for number, request in enumerate(requests, 1):
            asked.append(self.outcome(request))
            if number % BEGUN_AT_ONCE == 0:
                await asyncio.sleep(0)
        return [await outcome for outcome in asked]


def _resolve(answer: asyncio.Future[Outcome], outcome: Outcome) -> None:
    """Set the outcome, unless the request was cancelled meanwhile."""
    if not answer.done():
        answer.set_result(outcome)
