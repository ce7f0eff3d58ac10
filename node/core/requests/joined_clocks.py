"""All that was written until now: the clocks of all nodes, joined at the node whose client asks.

    begin            take the clocks of this node, and ask all other nodes
    on_ask_clocks    another node asks: tell what is here, once it is on disk
    on_clocks_told   an answer comes; answer the client when all nodes that can be reached have
                     told, in this view or an older one
    tick             time passes: ask again, or answer with what there is

A write that was acknowledged is in the clock of a node that has it on disk.  So a reader who sends
the joined token is shown every write that was acknowledged before it asked, or what has replaced
it.  A node of a newer view than ours may have written with nodes that this view does not name: the
client waits until we know that view, and have asked them.  (docs/decisions/0056.)
"""

from functools import reduce

import msgspec
from msgspec.structs import replace

from node.core.membership.services import Services
from node.core.model.dots import Dot, Vector
from node.core.model.keys import KeyHash, key_hash_of
from node.core.model.token import ALL_KEYS, Token
from node.core.protocol.inspection import AskClocks, ClocksJoined, ClocksTold, JoinClocks

ASK_AGAIN_S = 0.2
EXACT_MAX = 1024  # dots above the floors; of more, the floors rise


class Round(msgspec.Struct):
    """One question to all nodes."""

    wanted: JoinClocks
    started: float
    asked_at: float
    told: dict[str, Token]


class JoinedClocks:
    """Both sides of the question.  `under_way`: those of this node's clients that wait."""

    def __init__(self, services: Services) -> None:
        self._views, self._step, self._keyspace = services.views, services.step, services.store
        self._detector = services.detector
        self.under_way: dict[int, Round] = {}

    # ---- the node whose client asks
    def begin(self, request: int, wanted: JoinClocks) -> None:
        now, here = self._step.now, {self._views.address: self._token()}
        self.under_way[request] = asked = Round(wanted, now, now, here)
        self._ask(request, asked)
        self._judge(request, asked)

    def _ask(self, request: int, asked: Round) -> None:
        asked.asked_at = self._step.now
        for peer in self._silent(asked):
            self._step.ask(peer, AskClocks(request))

    def _silent(self, asked: Round) -> list[str]:
        return [peer for peer in self._views.peers() if peer not in asked.told]

    def on_clocks_told(self, source: str, message: ClocksTold) -> None:
        asked = self.under_way.get(message.request)
        if asked is not None:
            asked.told[source] = message.token
            self._judge(message.request, asked)

    def tick(self) -> None:
        for request, asked in list(self.under_way.items()):
            if self._step.now - asked.asked_at >= ASK_AGAIN_S:
                self._ask(request, asked)
            self._judge(request, asked)

    def _judge(self, request: int, asked: Round) -> None:
        """Answer if every node that can be reached has told, or the time is over."""
        now, silent = self._step.now, self._silent(asked)
        joined = reduce(Token.joined, asked.told.values(), Token())
        is_over = now - asked.started >= asked.wanted.timeout_s
        is_ahead = joined.view > self._views.view.id
        is_waiting = any(self._detector.reachable(peer, now) for peer in silent)
        if is_over or not (is_ahead or is_waiting):
            del self.under_way[request]
            newer = ("a node of a newer view",) if is_ahead and not silent else ()
            token = replace(joined, view=self._views.view.id, name=self._keyspace.name)
            self._step.reply(request, ClocksJoined(token, (*silent, *newer)))

    # ---- the node that is asked
    def on_ask_clocks(self, source: str, message: AskClocks) -> None:
        self._step.tell(source, ClocksTold(message.request, self._token()))

    def _token(self) -> Token:
        """A token of all writes that this node has.  A dot whose key is not known raises the floor
        of its actor: the token then waits for the dots below, too, which are on their way."""
        floor: Vector = {}
        exact: dict[Dot, KeyHash] = {}
        for part in self._keyspace.parts:
            for actor, n in part.clock.base.items():
                floor[actor] = max(n, floor.get(actor, 0))
            for actor, numbers in part.clock.loose.items():
                for n in numbers:
                    key = self._keyspace.log.key_of((actor, n))
                    if key is None:
                        floor[actor] = max(n, floor.get(actor, 0))
                    else:
                        exact[actor, n] = key_hash_of(key, lww=False)
        exact = {dot: tag for dot, tag in exact.items() if dot[1] > floor.get(dot[0], 0)}
        keys = ALL_KEYS if floor else b""
        token = Token(floor, exact, keys, view=self._views.view.id).within(EXACT_MAX)
        return replace(token, keys=ALL_KEYS) if token.floor else token
